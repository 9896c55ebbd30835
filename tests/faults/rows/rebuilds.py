"""F18: the read model of the reports is rebuilt from the log while events come in, and the rebuild is killed twice."""

import asyncio
import signal
import sys

from tests.faults.oracles import Evidence
from tests.faults.scene import Fault, Scene

KILLS = 2


async def rebuild(scene: Scene) -> None:
    """Nobody sees a report without figures meanwhile; in the end the figures are those of the log."""
    scene.victims = {"reports"}
    system, ends = scene.system, []
    for attempt in range(KILLS + 1):
        await scene.did("rebuild", attempt=attempt)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.reports", "rebuild"),
            env=system.environment("reports"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        if attempt < KILLS:
            await scene.under_load(scene.rng.uniform(1.5, 4.0))  # it takes more than a second to begin
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
        output, _ = await process.communicate()
        ends.append(process.returncode)
    scene.figures["rebuilds ended with"] = ends
    scene.demand(
        process.returncode == 0, "O5", f"the rebuild ended with {process.returncode}: {output.decode()[-500:]}"
    )

    async def verify(_: Evidence) -> None:
        code, told = await system.operate("reports", "verify")
        scene.demand(code == 0, "O5", f"verify ended with {code}: {told[-500:]}")

    scene.afterwards.append(verify)


REBUILDS = [Fault("F18", "reports rebuilt while ingesting, rebuild killed twice", rebuild)]
