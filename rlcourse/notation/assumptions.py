"""Assumptions: what a step needs, where it is stated, and a world in which it is removed and the step fails."""

from dataclasses import dataclass

import sympy as sp


class AssumptionNotNeeded(ValueError):
    """With the assumption removed the step still holds."""


class AssumptionOpen(ValueError):
    """An assumption was declared, and no world shows what goes wrong without it."""


@dataclass(frozen=True)
class Assumption:
    """A sentence, and its source: the text, slide, or equation and page of the primary paper that states it.

        Assumption("the baseline does not depend on the action", source="Sutton and Barto 2018, section 13.4")

    Raises ValueError if either is empty. A string in its place is a remark: shown, but not counted, since it has no source.
    """

    statement: str
    source: str

    def __post_init__(self) -> None:
        if not self.statement.strip():
            raise ValueError("An assumption is a sentence that can be true or false. This one is empty.")
        if not self.source.strip():
            raise ValueError(
                f"The assumption “{self.statement}” names no source. Say where it is stated, so that a reader can look it up: "
                'source="Sutton and Barto 2018, section 13.4", or the slide, or the equation and page of the paper.'
            )


@dataclass(frozen=True)
class Removed:
    """A world without the assumption, in which step `number` fails: `left` before it, `right` after it.

    instead: the line that the step would have without the assumption, if it was removed by another expression.
    """

    assumption: str
    number: int
    world: str
    left: float
    right: float
    source: str = ""
    instead: sp.Basic | None = None

    @property
    def counted(self) -> bool:
        """Only assumptions with a source count as stated."""
        return bool(self.source)


def statement_and_source(assumption: Assumption | str) -> tuple[str, str]:
    """Both parts; a string has no source."""
    return (assumption, "") if isinstance(assumption, str) else (assumption.statement, assumption.source)
