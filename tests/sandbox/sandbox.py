"""The sandbox as a person starts it: `make sandbox`'s command, in a folder of its own."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from deploy.server_process import free_port

ROOT = Path(__file__).parents[2]


class Sandbox:
    """One installation, which can be started and stopped."""

    def __init__(self, folder: Path, **given: str) -> None:
        self.folder = folder
        self.port = _six_free_ports()
        self._environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if key not in {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"}
            },
            "SANDBOX_FOLDER": str(folder),
            "SANDBOX_PORT": str(self.port),
            **given,
        }
        self.said = ""

    @property
    def url(self) -> str:
        """The one address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, seconds: float = 100) -> None:
        """Wait until it says that it is ready."""
        self.said = ""
        self._process = await self._run()
        assert self._process.stdout
        async with asyncio.timeout(seconds):
            while "Ready. Open" not in self.said:
                line = await self._process.stdout.readline()
                assert line, self.said
                self.said += line.decode()

    async def stop(self) -> int:
        """Press Ctrl-C and wait; tell the exit code."""
        self._process.send_signal(signal.SIGINT)
        output, _ = await asyncio.wait_for(self._process.communicate(), 60)
        self.said += output.decode()
        assert self._process.returncode is not None
        return self._process.returncode

    async def reset(self) -> str:
        """Delete the data and tell what was said."""
        process = await self._run("--reset")
        output, _ = await process.communicate()
        return output.decode()

    def log(self, name: str) -> str:
        """What a part wrote."""
        return (self.folder / "logs" / f"{name}.log").read_text()

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.sandbox", *arguments),
            cwd=ROOT,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


def _six_free_ports() -> int:
    """Find a first port whose five successors are free, too, as far as one can tell."""
    import socket

    for _ in range(50):
        first = free_port()
        try:
            for port in range(first, first + 6):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no six free ports in a row")
