"""In no state of the reliable path is an event lost, taken twice or said out of its key's order: all are looked at."""

from pathlib import Path

import pytest

from tests.model.__main__ import as_markdown
from tests.model.mistakes import MISTAKES, PROTOCOLS, look_for_mistakes, what_comes_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "model.md"


@pytest.mark.timeout(600)  # seconds of work, but for one core alone
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_state_of_a_protocol_is_wrong_and_from_each_it_comes_to_rest(protocol: str) -> None:
    """Whatever three faults happen, and whenever."""
    assert look_for_mistakes(protocol).counterexample is None


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_found(mistake: str) -> None:
    """A checker that finds nothing must be one that would: each line of the protocols is there for a reason."""
    assert what_comes_of(mistake).outcome.counterexample


def test_the_documents_figures_are_these() -> None:
    """`python -m tests.model --markdown` prints the table anew."""
    assert as_markdown() in DOCUMENT.read_text()
