"""The fault matrix, a row each."""

from tests.faults.rows.clocks import CLOCKS
from tests.faults.rows.crashes import CRASHES
from tests.faults.rows.floods import FLOODS
from tests.faults.rows.kafka import KAFKA
from tests.faults.rows.kills import KILLS
from tests.faults.rows.poison import POISON
from tests.faults.rows.postgres import POSTGRES
from tests.faults.rows.rebuilds import REBUILDS
from tests.faults.rows.replicas import REPLICAS
from tests.faults.rows.smtp import SMTP
from tests.faults.scene import Fault

ROWS: tuple[Fault, ...] = (*KILLS, *CRASHES, *REPLICAS, *KAFKA, *POSTGRES, *SMTP, *CLOCKS, *FLOODS, *REBUILDS, *POISON)
