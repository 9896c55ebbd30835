"""Where bytes are kept: a folder, and a bucket of a server that speaks S3. What holds of one holds of the other."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from deploy.server_process import ServerProcess, free_port
from services.portal.storage import FOLDER_BYTES, PART_BYTES, Missing, Storage, StorageFailed
from tests.product import until

AN_ID = UUID("01950000-0000-7000-8000-000000000001")
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that speaks S3, as a process of its own."""
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "log"
    server = ServerProcess(
        [sys.executable, "-m", "moto.server", "-p", str(port)], log, signal.SIGKILL, env=dict(os.environ)
    )
    yield port
    server.stop(signal.SIGKILL)


@pytest.fixture(params=["folder", "bucket"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """One of each kind."""
    if request.param == "folder":
        return Storage((tmp_path / "made when needed").as_uri())
    endpoint = f"http://127.0.0.1:{request.getfixturevalue('s3_port')}"
    async with httpx.AsyncClient() as client:

        async def answers() -> bool:
            try:
                return (await client.put(f"{endpoint}/bucket")).is_success
            except httpx.TransportError:
                return False

        await until(answers, seconds=60)
    return Storage("s3://bucket/some/prefix", endpoint=endpoint, region="us-east-1", key_id="id", secret="secret")


async def chunks(*given: bytes, fails: bool = False) -> AsyncIterator[bytes]:
    """Bytes as they come in."""
    for chunk in given:
        yield chunk
    if fails:
        raise ValueError("the sender left")


async def read(storage: Storage) -> bytes:
    """The whole object."""
    return b"".join([chunk async for chunk in await storage.get(AN_ID)])


@pytest.mark.parametrize("size", [1, FOLDER_BYTES + 1, PART_BYTES + 1, 2 * PART_BYTES + 7])
async def test_what_is_put_can_be_got_and_deleted(storage: Storage, size: int) -> None:
    """Whole, byte for byte, in one part or several; once deleted it is missing, and deleting it again is no error."""
    content = os.urandom(size)
    await storage.put(AN_ID, chunks(*(content[start : start + 65_536] for start in range(0, size, 65_536))))

    assert await read(storage) == content
    await storage.delete(AN_ID)
    with pytest.raises(Missing):
        await storage.get(AN_ID)
    await storage.delete(AN_ID)


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
async def test_what_breaks_off_is_not_there(storage: Storage, size: int) -> None:
    """Half a file is no file, and what was written of it can be deleted."""
    with pytest.raises(ValueError, match="the sender left"):
        await storage.put(AN_ID, chunks(b"a" * size, fails=True))

    with pytest.raises(Missing):
        await storage.get(AN_ID)
    await storage.delete(AN_ID)
    assert storage._folder is None or list(storage._folder.iterdir()) == []


async def test_a_storage_that_does_not_answer_is_told_as_such() -> None:
    """Connects when first used; then every call fails in the same way, and none hangs."""
    storage = Storage("s3://bucket", endpoint=NOWHERE, region="us-east-1", key_id="id", secret="secret")

    with pytest.raises(StorageFailed):
        await storage.put(AN_ID, chunks(b"a"))
    with pytest.raises(StorageFailed):
        await storage.get(AN_ID)
    with pytest.raises(StorageFailed):
        await storage.delete(AN_ID)


async def test_a_folder_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    """A file in its place, a disk that is read-only."""
    (tmp_path / "taken").write_text("a file")
    storage = Storage((tmp_path / "taken" / "attachments").as_uri())

    with pytest.raises(StorageFailed):
        await storage.put(AN_ID, chunks(b"a"))
