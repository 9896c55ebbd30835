"""Where the bytes of attachments are: a folder, or a bucket of anything that speaks S3. Knows no ticket and no name."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller parts. A file is held in memory up to this size, in a folder up to FOLDER_BYTES."""

FOLDER_BYTES = 256 * 1024
READ_BYTES = 64 * 1024

S3_OPTIONS = {"timeout": "30s", "connect_timeout": "5s"}
S3_RETRIES: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}


class StorageFailed(OSError):
    """The storage does not answer, or refuses. What was to be stored is not."""


class Missing(Exception):
    """There is no such object."""


class Storage:
    """Objects named by UUID below `url`. Connects when first used, so a service starts while its storage is away."""

    def __init__(self, url: str, *, endpoint: str = "", region: str = "", key_id: str = "", secret: str = "") -> None:
        self._url = url
        self._s3 = {"endpoint": endpoint, "region": region, "access_key_id": key_id, "secret_access_key": secret}
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        self._opened: LocalStore | S3Store | None = None

    async def put(self, object_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Store an object, which is there, whole, when this returns, and survives a loss of power.

        When `chunks` raises, nothing is stored and that is raised. Raises StorageFailed.
        """
        name = str(object_id)
        size = FOLDER_BYTES if self._folder else PART_BYTES
        try:
            writer = obstore.open_writer_async(self._store, name, buffer_size=size, max_concurrency=1)
        except (BaseError, OSError) as failure:
            raise _failed(failure) from failure
        async for chunk in chunks:
            try:
                await writer.write(chunk)
            except (BaseError, OSError) as failure:
                raise _failed(failure) from failure
        try:
            await writer.close()
            if self._folder:
                await asyncio.to_thread(_sync, self._folder / name)
        except (BaseError, OSError) as failure:
            raise _failed(failure) from failure

    async def get(self, object_id: UUID) -> AsyncIterator[bytes]:
        """Read an object, chunk by chunk. Raises Missing or StorageFailed before there is a first one."""
        try:
            found = await obstore.get_async(self._store, str(object_id))
        except (NotFoundError, FileNotFoundError):
            raise Missing from None
        except (BaseError, OSError) as failure:
            raise _failed(failure) from failure
        return _chunks(found)

    async def delete(self, object_id: UUID) -> None:
        """Drop an object, or what there is of it; one that is not there is dropped already. Raises StorageFailed.

        Parts of an upload to S3 that broke off are left to the bucket's rule for incomplete uploads.
        """
        try:
            if self._folder:
                await asyncio.to_thread(_drop_parts, self._folder, str(object_id))
            await obstore.delete_async(self._store, str(object_id))
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as failure:
            raise _failed(failure) from failure

    @property
    def _store(self) -> LocalStore | S3Store:
        if self._opened is None:
            if self._folder:
                self._opened = LocalStore(self._folder, mkdir=True)
            else:
                given: Any = {name: value for name, value in self._s3.items() if value}
                options: Any = {**S3_OPTIONS, "allow_http": self._s3["endpoint"].startswith("http://")}
                self._opened = S3Store.from_url(
                    self._url, config=given, client_options=options, retry_config=S3_RETRIES
                )
        return self._opened


async def _chunks(found) -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=READ_BYTES):
        yield bytes(chunk)


def _failed(failure: Exception) -> StorageFailed:
    return StorageFailed(f"{type(failure).__name__}: the storage of attachments failed")


def _drop_parts(folder: Path, name: str) -> None:
    """Delete what a folder's upload that broke off has written so far: it is beside the object, behind a mark."""
    for part in folder.glob(f"{name}#*"):
        part.unlink(missing_ok=True)


def _sync(file: Path) -> None:
    """Have the disk keep a file and its name."""
    for path, how in ((file, os.O_RDONLY), (file.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(path, how)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
