"""What a student's function is given, from the arrays of a case: as objects, in words, and as a call that can be pasted."""

from typing import Any

import numpy as np
import torch

from rlcourse.checks.compare import Slip, to_tensor
from rlcourse.checks.properties import Inputs, number

FEW = 6  # numbers of one input that are written out in words
LONGEST_CALL = 400


def as_argument(io: Any, name: str, array: np.ndarray) -> Any:
    """One input as the student gets it: a fresh tensor or array, a Python number, a generator."""
    kind = io.inputs[name].kind
    if kind in ("scalar", "count"):
        return array.item()
    if kind == "generator":
        return torch.Generator().manual_seed(int(array)) if io.library == "torch" else np.random.default_rng(int(array))
    return to_tensor(array) if io.library == "torch" else np.array(array)


def gradients(value: Any, leaves: list[torch.Tensor]) -> list[np.ndarray]:
    """Gradients of value.sum() to the leaves; one that the graph does not reach has gradient zero."""
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return [np.zeros(leaf.shape, leaf.detach().numpy().dtype) for leaf in leaves]
    try:
        found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    except RuntimeError as error:
        raise Slip("gradient", f"autograd could not differentiate your answer: {' '.join(str(error).split())[:200]}",
                   "In-place operations on tensors that need a gradient are the usual cause.") from None
    return [(torch.zeros_like(leaf) if g is None else g).detach().numpy().copy() for g, leaf in zip(found, leaves)]


def share_memory(a: Any, b: Any) -> bool:
    """True if two arrays or tensors use the same memory."""
    a, b = (each.detach().numpy() if type(each) is torch.Tensor and each.layout is torch.strided else each for each in (a, b))
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and bool(np.may_share_memory(a, b))


def shape_by_name(axes: tuple[str, ...], shape: tuple[int, ...]) -> str:
    """(T, B) = (4, 3); the shape alone where no axis has a name."""
    if all(axis.isdigit() for axis in axes):
        return str(shape)
    return f"({', '.join(axes)}{',' * (len(axes) == 1)}) = {shape}"


def words(io: Any, inputs: Inputs) -> str:
    """rewards = (1, 0.5), terminated all False, gamma = 0.5 (float64); arrays with many numbers by their shape."""
    said, large = [], {}
    for name, array in inputs.items():
        axes = io.inputs[name].axes
        if array.size > FEW:
            large.setdefault(shape_by_name(axes, array.shape), []).append(name)
        elif array.dtype == bool and array.size > 1 and array.all() == array.any():
            said.append(f"{name} all {bool(array.all())}")
        else:
            said.append(f"{name} = {number(array)}")
    said += [f"{', '.join(names)} of shape {shape}" for shape, names in large.items()]
    floats = {str(array.dtype) for name, array in inputs.items() if array.dtype.kind == "f" and io.inputs[name].kind != "scalar"}
    return ", ".join(said) + (f" ({', '.join(sorted(floats))})" if floats else "")


def call(io: Any, function: str, inputs: Inputs) -> str:
    """discounted(torch.tensor([1.0, 0.5]), 0.5); "" where it would be long."""
    text = f"{function}({', '.join(_written(io, name, array) for name, array in inputs.items())})"
    return text if len(text) <= LONGEST_CALL else ""


def _written(io: Any, name: str, array: np.ndarray) -> str:
    kind = io.inputs[name].kind
    if kind in ("scalar", "count"):
        return repr(array.item())
    if kind == "generator":
        return f"torch.Generator().manual_seed({int(array)})" if io.library == "torch" else f"np.random.default_rng({int(array)})"
    make, dtype = ("torch.tensor", "torch.float64") if io.library == "torch" else ("np.array", "np.float32")
    plain = array.dtype != (np.float64 if io.library == "torch" else np.float32)
    return f"{make}({array.tolist() if array.dtype != np.float32 else _short(array)}{'' if plain else f', dtype={dtype}'})"


def _short(array: np.ndarray) -> Any:
    """A float32 array as nested lists of its shortest decimals."""
    return float(str(array)) if array.ndim == 0 else [_short(np.asarray(each)) for each in array]
