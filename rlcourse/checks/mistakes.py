"""Named mistakes: wrong answers with a sentence, written as small changes to the source of a right one, so that two can be made at once."""

import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Swap = tuple[str, str]


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation that students write.

    id: stable name. function: the wrong implementation. sentence: completes "Your values equal ...". cause: why it happens and what to do.
    tag: where to read. swaps: the changes to the right answer's source that make it. same_as: the id that is said in the place of this one,
    because both give the same numbers on all cases: that of a mistake listed earlier, or a pair's, "first+second".
    """

    id: str
    function: Callable
    sentence: str
    cause: str
    tag: str
    swaps: tuple[Swap, ...] = ()
    same_as: str = ""

    @property
    def said(self) -> str:
        """The id by which a check recognises it."""
        return self.same_as or self.id


def swapped(reference: Callable, *swaps: Swap) -> Callable:
    """The reference with pieces of its source replaced. Each old piece must occur exactly once, else ValueError."""
    source = textwrap.dedent(inspect.getsource(reference))
    for old, new in swaps:
        if source.count(old) != 1:
            raise ValueError(f"{reference.__name__}: the piece {old!r} occurs {source.count(old)} times in the source, expected once.")
        source = source.replace(old, new)
    namespace = dict(reference.__globals__)
    exec(compile(source, f"<{reference.__name__} with a named mistake>", "exec"), namespace)
    return namespace[reference.__name__]


def mistake(reference: Callable, id: str, sentence: str, cause: str, tag: str, *swaps: Swap, same_as: str = "") -> Mistake:
    """A named mistake made from the reference by swapping pieces of its source."""
    return Mistake(id, swapped(reference, *swaps), sentence, cause, tag, swaps, same_as)


def pairs(reference: Callable, mistakes: tuple[Mistake, ...]) -> Iterator[tuple[Mistake, Mistake, Callable]]:
    """Two mistakes at once, wherever their swaps do not touch the same piece of source."""
    for first, second in itertools.combinations(mistakes, 2):
        try:
            yield first, second, swapped(reference, *first.swaps, *second.swaps)
        except (ValueError, SyntaxError):
            continue
