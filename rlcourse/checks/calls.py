"""Calling code that a student wrote: a time limit, exceptions as one sentence with a line number, printing kept aside, inputs compared afterwards.

The limit is a wall-clock alarm in this process. It ends an ordinary endless loop; code that catches every exception can outlive it, and then the
notebook's stop button (or, for `rlcourse check FILE`, the parent process) ends it.
"""

import contextlib
import ctypes
import inspect
import io
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch

from rlcourse.checks.compare import Slip

SECONDS = 20.0
_KEPT = 2000  # characters of a student's printing that a report may quote


class TimeIsUp(BaseException):
    """Raised inside a student's function when its time is used up. Not an Exception, so that `except Exception` does not swallow it."""


class Guard:
    """A student's function, called within what is left of a number of seconds. Calls return what it returns, or raise Slip."""

    def __init__(self, function: Callable, signature: str, seconds: float = SECONDS):
        self.function, self.signature, self.seconds, self.left, self.calls = function, signature, seconds, seconds, 0
        self.printed = _Kept()

    def __call__(self, *arguments):
        before = [_snapshot(argument) for argument in arguments]
        started, self.calls = time.monotonic(), self.calls + 1
        if self.left <= 0:
            raise self._too_long(0.0)
        try:
            with _aside(self.printed), warnings.catch_warnings(), _alarm(max(self.left, 0.05)):
                warnings.simplefilter("ignore")
                value = self.function(*arguments)
        except TimeIsUp:
            raise self._too_long(self.left) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise slip_from(error, self.function, self.signature) from None
        self.left -= time.monotonic() - started
        _require_unchanged(arguments, before, self.signature)
        return value

    def _too_long(self, last: float) -> Slip:
        """Endless, or slow: what the earlier calls took tells them apart."""
        earlier, self.left = self.seconds - last, 0.0
        sentence = f"Your function had not finished after {self.seconds:g} seconds."
        if self.calls <= 1 or last > 10 * earlier / (self.calls - 1):
            return Slip("timeout", sentence, "Look for a loop whose condition never becomes false, or for work that repeats inside a loop.")
        each = earlier / (self.calls - 1)
        sentence = f"Your function is too slow: {self.calls - 1} calls took {earlier:.2g} of {self.seconds:g} seconds, {each:.2g} seconds each."
        return Slip("timeout", sentence, "The inputs are small. Look for work that repeats inside a loop, and for a vectorised form.")


@contextlib.contextmanager
def _aside(kept: io.StringIO) -> Iterator[None]:
    """What is printed, to either stream, is kept there."""
    with contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
        yield


class _Kept(io.StringIO):
    """Keeps the first characters printed and drops the rest, so that a print in a loop cannot fill the memory."""

    def write(self, text: str) -> int:
        super().write(text[: max(_KEPT - self.tell(), 0)])
        return len(text)


def _snapshot(argument: object) -> object:
    return argument.detach().clone() if isinstance(argument, torch.Tensor) else np.array(argument) if isinstance(argument, np.ndarray) else None


def _require_unchanged(arguments: tuple, before: list, signature: str) -> None:
    names = signature[signature.index("(") + 1 : signature.index(")")].split(",")
    for name, now, was in zip(names, arguments, before):
        if was is not None and not _unchanged(now, was):
            raise Slip("mutated", f"Your function changed its input `{name.strip()}`.",
                       "The caller still needs it. Write x = x + 1 instead of x += 1, and avoid methods that end in an underscore.")


def _unchanged(now: object, was: object) -> bool:
    """Equal, with NaN equal to NaN: padding may be NaN on purpose."""
    now, was = (each.detach().numpy() if isinstance(each, torch.Tensor) else each for each in (now, was))
    return bool(now.shape == was.shape and now.dtype == was.dtype and ((now == was) | ((now != now) & (was != was))).all())


def slip_from(error: BaseException, function: Callable, signature: str) -> Slip:
    """One sentence for an exception: what, at which line of the student's code, and no traceback."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if code is not None and frame.filename == code.co_filename]
    if isinstance(error, NotImplementedError) and (not own or not own[-1].line or own[-1].line.startswith("raise")):
        return Slip("not_attempted", "The body of the function is still the placeholder.")
    text = _message(error)
    if isinstance(error, TypeError) and not own:
        advice = "Keep the arguments and their order as the card gives them."
        return Slip("exception", f"Your function could not be called as {signature}: {_arguments_of(function) or text}", advice)
    if type(error) in _SENTENCES or isinstance(error, MemoryError) or "allocate memory" in text:
        return Slip("exception", *_SENTENCES.get(type(error), _SENTENCES[MemoryError]))
    place = f" at line {own[-1].lineno}" + (f" (`{own[-1].line}`)" if own[-1].line else "") if own else ""
    advice = "Line numbers count from the top of the cell that defines the function." if own else ""
    return Slip("exception", f"Your function raised {type(error).__name__}{place}: {text}", advice)


_SENTENCES = {
    RecursionError: ("Your function calls itself without an end (RecursionError).",
                     "Which case should end it? Or the function's name was used inside for something else."),
    MemoryError: ("Your function asked for more memory than there is (MemoryError).",
                  "The inputs are small. Which intermediate array has all pairs in it, or grows in a loop?"),
    SystemExit: ("Your function ended Python itself (SystemExit).", "Leave out exit(), quit() and sys.exit(): a function ends with `return`."),
}


def _arguments_of(function: Callable) -> str:
    """What it takes, in words, where that can be read off."""
    try:
        taken = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ""
    return f"it takes {len(taken)} argument{'s' * (len(taken) != 1)} ({', '.join(taken)})." if taken else "it takes no arguments."


def _message(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        return "(its message could not be read)"
    return text[:240] + (" ..." if len(text) > 240 else "") if text else "(no message)"


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in this thread after `seconds` of wall-clock time."""
    with _signal_alarm(seconds) if _has_signals() else _thread_alarm(seconds):
        yield


def _has_signals() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _signal_alarm(seconds: float) -> Iterator[None]:
    def ring(signum, frame):
        raise TimeIsUp

    old_handler = signal.signal(signal.SIGALRM, ring)
    old_timer = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)  # rings again, in case one ring is swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old_timer)
        signal.signal(signal.SIGALRM, old_handler)


@contextlib.contextmanager
def _thread_alarm(seconds: float) -> Iterator[None]:
    target = ctypes.c_ulong(threading.get_ident())
    timer = threading.Timer(seconds, lambda: ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(TimeIsUp)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
