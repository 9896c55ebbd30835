"""What an oracle finds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST = 160
"""Characters told of each thing."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept, and what it was about: operations, events, emails or routes."""

    oracle: str
    text: str
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(self.about[:5]) + (f" and {len(self.about) - 5} more" if len(self.about) > 5 else "")
        return f"{self.oracle}: {self.text}" + (f": {shown}" if shown else "")


def violation(oracle: str, text: str, about: Iterable[object]) -> list[Violation]:
    """One violation for everything it is about; none when that is nothing."""
    named: Sequence[str] = sorted(str(one)[:LONGEST] for one in about)
    return [Violation(oracle, text, tuple(named))] if named else []
