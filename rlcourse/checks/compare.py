"""Comparing a student's arrays with what was expected, in an order that closes the known traps.

Exactly ndarray or Tensor (a subclass may carry its own `==` or a mask), then dtype, then equal shape (nothing is broadcast), then finite, then a
tolerance by dtype. `np.allclose` is not used: it broadcasts, and it calls an empty array equal to anything.
"""

import numpy as np
import torch

# |value - expected| <= tolerance * (1 + max |expected|). The looser of the two dtypes, input and answer, decides.
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}
_READABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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


def to_array(value: object, *, tensor_only: str = "") -> np.ndarray:
    """A student's return value as a fresh ndarray; raises Slip for anything but a plain float array.

    tensor_only: empty, or the reason why this answer has to be a torch.Tensor.
    """
    if value is None:
        raise Slip("returned_none", "Your function returned None.", "If the body is written, its `return` is missing.")
    if value is Ellipsis:
        raise Slip("not_attempted", "Your function returned `...`, the placeholder.")
    if type(value) is np.ndarray and not tensor_only:
        _require_float(str(value.dtype))
        return np.array(value)
    if type(value) is torch.Tensor:
        if value.layout is not torch.strided or value.dtype not in _READABLE:
            _require_float(str(value.dtype).removeprefix("torch."))
            raise Slip("type", f"Your function returned a {value.layout} tensor.", "Return an ordinary dense tensor.")
        _require_float(str(value.dtype).removeprefix("torch."))
        return np.array(value.detach().cpu().numpy())
    raise Slip("type", f"Your function returned {_kind_of(value)}.", _type_advice(value, tensor_only))


def _kind_of(value: object) -> str:
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name}" + (f" of {len(value)} items" if isinstance(value, list | tuple) else "")


def _type_advice(value: object, tensor_only: str) -> str:
    if isinstance(value, list | tuple):
        return "One tensor is expected: torch.stack([...]) keeps the gradient, torch.tensor([...]) does not."
    if tensor_only:
        return f"A torch.Tensor is expected: {tensor_only}"
    if isinstance(value, np.ndarray | torch.Tensor):
        return "A plain torch.Tensor or numpy.ndarray is expected, not a subclass: masks and overloaded operators would hide differences."
    return "A torch.Tensor or a numpy.ndarray is expected."


def _require_float(dtype: str) -> None:
    if dtype in TOLERANCE:
        return
    why = {"float16": "Half precision has three digits.", "bfloat16": "bfloat16 has two to three digits."}.get(dtype, "The answer is a real number.")
    raise Slip("dtype", f"Your answer has dtype {dtype}; float32 or float64 is expected.", f"{why} Keep the dtype of the inputs.")


def require_shape(array: np.ndarray, shape: tuple[int, ...], given: str) -> None:
    """Raise Slip unless the shape is exactly the one expected."""
    got = array.shape
    if got == shape:
        return
    raise Slip("shape", f"For {given} the answer must have shape {shape}; yours has shape {got}.", _shape_advice(got, shape))


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
    return "Which axis should stay, and which should be summed away?"


def require_finite(array: np.ndarray, given: str) -> None:
    """Raise Slip for NaN or infinity."""
    bad = int((~np.isfinite(array)).sum())
    if bad:
        word = "NaN" if np.isnan(array).any() else "infinity"
        raise Slip("not_finite", f"For {given} your answer contains {word} ({bad} of {array.size} numbers).",
                   "Look for log(0), 0/0 or exp of a large number, and for a form that avoids it.")


def tolerance(*arrays: np.ndarray) -> float:
    """The tolerance for results computed from these arrays: the coarsest float dtype decides."""
    return max(TOLERANCE.get(str(array.dtype), 0.0) for array in arrays)


def close(value: np.ndarray, expected: np.ndarray, tol: float) -> bool:
    """True if the shapes are equal, everything is finite and every entry is within tolerance. Empty arrays are never close."""
    value, expected = np.asarray(value, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if value.shape != expected.shape or value.size == 0 or not np.isfinite(value).all():
        return False
    return bool((np.abs(value - expected) <= tol * (1.0 + np.abs(expected).max())).all())


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
