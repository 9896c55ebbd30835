"""The short form of the fault matrix. `make faults` plays all of it, harder and longer."""

import pytest

from tests.faults.rows import ROWS
from tests.faults.run import Result, Run

pytestmark = pytest.mark.timeout(300)

SHORT_FORM = ("F2", "F5", "F9a", "F11d", "F15", "F14")
"""A kill, crashes at exact points, Kafka down, cut connections, offsets set back, poison (last: it would come back)."""


def test_nothing_is_lost_or_doubled_when_nothing_breaks(undisturbed: Result) -> None:
    """The oracles have nothing to say of a product that nobody disturbs."""
    assert undisturbed.violations == []
    assert undisturbed.figures["ok"] > 20


@pytest.mark.parametrize("row", SHORT_FORM)
async def test_no_promise_is_broken_by_a_fault(run: Run, row: str) -> None:
    """Nothing lost, nothing double, order kept, figures right, pages served, and at rest again afterwards."""
    (fault,) = [fault for fault in ROWS if fault.id == row]

    result = await run.play(fault)

    assert [str(violation) for violation in result.violations] == []
    assert result.figures["ok"] > 0
