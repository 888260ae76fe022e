"""Comparing a student's arrays with what was expected, in an order that closes the known traps.

Exactly ndarray or Tensor (a subclass may carry its own `==` or a mask), then dtype, then equal shape (nothing is broadcast), then finite, then a
tolerance by dtype. `np.allclose` is not used: it broadcasts, and it calls an empty array equal to anything.
"""

import math
import re
from collections.abc import Generator

import numpy as np
import torch

# |value - expected| <= tolerance * (1 + max |expected|). The looser of the two dtypes, input and answer, decides.
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
LARGEST = 10_000_000  # numbers in an answer; a larger one is refused before it is copied


class Slip(Exception):
    """An answer that cannot be assessed as mathematics yet: wrong type, dtype or shape, an exception, a call that never ends.

    kind: short stable name. sentence: what happened, with values. cause: what to do about it. given: the inputs in words, where they matter.
    """

    def __init__(self, kind: str, sentence: str, cause: str = ""):
        super().__init__(sentence)
        self.kind, self.sentence, self.cause, self.given = kind, sentence, cause, ""


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """A fresh tensor, so that a student's in-place operation cannot reach the array it came from."""
    return torch.from_numpy(np.array(array))


def to_array(value: object, *, tensor_only: str = "", kind: str = "array", shape: tuple[int, ...] | None = None, role: str = "") -> np.ndarray:
    """A student's return value as a fresh ndarray; raises Slip for anything but a plain float array.

    tensor_only: empty, or the reason why this answer has to be a torch.Tensor. kind: "array" (floats), "index" (integers), "mask" (booleans).
    shape: if it is (), a Python number will do. role: " as `Q`", where a function returns several things.
    """
    if value is None:
        raise Slip("returned_none", f"Your function returned None{role}.", "If the body is written, its `return` is missing.")
    if value is Ellipsis:
        raise Slip("not_attempted", f"Your function returned `...`{role}, the placeholder.")
    if shape == () and not tensor_only and isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool):
        value = np.array(value) if kind == "index" else np.array(value, dtype=value.dtype if isinstance(value, np.floating) else float)
    if type(value) is np.ndarray and not tensor_only:
        _require_dtype(str(value.dtype), kind)
        _require_not_huge(value.shape)
        return np.array(value)
    if type(value) is torch.Tensor:
        dtype = str(value.dtype).removeprefix("torch.")
        _require_dtype(dtype, kind)
        if value.layout is not torch.strided:
            raise Slip("type", f"Your function returned a {value.layout} tensor{role}.", "Return an ordinary dense tensor.")
        _require_not_huge(tuple(value.shape))
        return np.array(value.detach().cpu().resolve_neg().numpy())
    raise Slip("type", f"Your function returned {_kind_of(value)}{role}.", _type_advice(value, tensor_only, shape))


def _kind_of(value: object) -> str:
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name}" + (f" of {len(value)} items" if isinstance(value, list | tuple) else "")


def _type_advice(value: object, tensor_only: str, shape: tuple[int, ...] | None) -> str:
    if isinstance(value, tuple) and len(value) == 1:
        return "A comma at the end of the `return` line makes a tuple of one: drop it."
    if isinstance(value, list | tuple):
        return "One tensor is expected: torch.stack([...]) keeps the gradient, torch.tensor([...]) does not."
    if isinstance(value, Generator):
        return "A function with `yield` in it returns a generator: collect the values and return them as one tensor."
    if isinstance(value, torch.nn.Parameter):
        return "A Parameter is what an optimiser changes. Return a result that was computed from it, or param.detach()."
    if tensor_only:
        return f"A torch.Tensor is expected: {tensor_only}"
    if isinstance(value, np.ndarray | torch.Tensor):
        return "A plain torch.Tensor or numpy.ndarray is expected, not a subclass: masks and overloaded operators would hide differences."
    if callable(value):
        return "A function came back in the place of its value: are the parentheses of a call missing?"
    if isinstance(value, int | float | np.number) and shape:
        return f"One number came back; an array of shape {shape} is expected. Was it summed or averaged over one axis too many?"
    return "A torch.Tensor or a numpy.ndarray is expected." if shape != () else "A number is expected: a float, or a tensor or array without axes."


def _require_dtype(dtype: str, kind: str = "array") -> None:
    good = {"index": re.fullmatch(r"u?int\d+", dtype), "mask": dtype == "bool"}.get(kind, dtype in TOLERANCE)
    if good:
        return
    expected = {"index": "an integer type", "mask": "bool"}.get(kind, "float32 or float64")
    why = {"float16": "Half precision has three digits.", "bfloat16": "bfloat16 has two to three digits.",
           "object": "An array of objects is made from rows of different lengths."}
    advice = {"index": "The answer counts from 0: argmax gives integers.", "mask": "A comparison gives booleans."}.get(
        kind, f"{why.get(dtype, 'The answer is a real number.')} Keep the dtype of the inputs.")
    raise Slip("dtype", f"Your answer has dtype {dtype}; {expected} is expected.", advice)


def _require_not_huge(shape: tuple[int, ...]) -> None:
    if math.prod(shape) > LARGEST:
        raise Slip("shape", f"Your answer has shape {shape}: {math.prod(shape):,} numbers.",
                   "Two axes that should be one, or (B,) against (B, 1), make a table of all pairs.")


def require_shape(array: np.ndarray, shape: tuple[int, ...], given: str, *, named: str = "", what: str = "the answer") -> None:
    """Raise Slip unless the shape is exactly the one expected. named: the shape with the names of its axes, "(T, B) = (4, 3)"."""
    got = array.shape
    if got == shape:
        return
    raise Slip("shape", f"For {given} {what} must have shape {named or shape}; yours has shape {got}.", _shape_advice(got, shape))


def _shape_advice(got: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if got == (*shape, 1):
        return "A trailing axis of length 1 broadcasts silently against (B,) to a (B, B) table in a loss. " \
               "Drop it with .squeeze(-1), or leave out keepdim=True."
    if got == (1, *shape):
        return "There is a leading axis of length 1 too many. Drop it with .squeeze(0)."
    if got == () and shape == (1,):
        return "With a batch of one the batch axis has gone: .squeeze() without an axis removes it too. Name the axis."
    if got == ():
        return "A single number came back. Was it summed or averaged over one axis too many?"
    if len(got) > len(shape):
        return "There is one axis too many. Which axis should be summed or averaged away?"
    if got == shape[::-1]:
        return "The axes are in the other order. Transpose the answer, or index the inputs in the order of the card."
    if len(got) == len(shape) and sum(a != b for a, b in zip(got, shape)) == 1 and sum(got) - sum(shape) in (-1, 1):
        return "One axis is off by one: count the first and the last step."
    return "Which axis should stay, and which should be summed away?"


def require_finite(array: np.ndarray, given: str) -> None:
    """Raise Slip for NaN or infinity."""
    bad = int((~np.isfinite(array)).sum()) if array.dtype.kind == "f" else 0
    if bad:
        word = "NaN" if np.isnan(array).any() else "infinity"
        raise Slip("not_finite", f"For {given} your answer contains {word} ({bad} of {array.size} numbers).",
                   "Look for log(0), 0/0 or exp of a large number, and for a form that avoids it.")


def tolerance(*arrays: np.ndarray) -> float:
    """The tolerance for results computed from these arrays: the coarsest float dtype decides."""
    return max(TOLERANCE.get(str(array.dtype), 0.0) for array in arrays)


def close(value: np.ndarray, expected: np.ndarray, tol: float, unit: float = 1.0) -> bool:
    """True if the shapes are equal, everything is finite and |value - expected| <= tol (unit + max |expected|). Empty arrays are never close."""
    value, expected = np.asarray(value, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if value.shape != expected.shape or value.size == 0 or not np.isfinite(value).all():
        return False
    return bool((np.abs(value - expected) <= tol * (unit + np.abs(expected).max())).all())


def same_numbers(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """True if two answers (name -> array) agree entry by entry; not-a-number and infinities count as one value, 'not finite'."""
    return first.keys() == second.keys() and all(_same(first[name], second[name]) for name in first)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    finite = np.isfinite(a)
    if not (finite == np.isfinite(b)).all():
        return False
    x, y = a[finite].astype(np.float64), b[finite].astype(np.float64)
    return bool((np.abs(x - y) <= tolerance(a, b) * (1.0 + np.abs(y))).all())
