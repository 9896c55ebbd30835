"""The fault matrix, a row each."""

from tests.faults.rows.kills import KILLS
from tests.faults.scene import Fault

ROWS: tuple[Fault, ...] = (*KILLS,)
