"""The archive: files of the lake, byte for byte, under any object-store URL, with their hashes.

A batch is what one hour of one table gave to the archive at one time: files and a manifest, which
is written last. A batch counts once the lake says so, in the commit that removes the rows
(`retired.archived_id`); what a crash has left before is overwritten by the next attempt.

    TABLE/event_hour=2026-01-01T05/0001-….parquet
    TABLE/event_hour=2026-01-01T05/0001.json

Any reader of Parquet reads it, with the hour from the path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote
from uuid import uuid4

import pyarrow.fs
import pyarrow.parquet

from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.object_store import ObjectStore

_CHUNK: Final = 8 * 1024**2
"""Bytes that are held at once while a file is copied."""
_DIGITS: Final = 4


class ArchiveError(FleetError):
    """The archive does not hold what it should; nothing is removed for it."""


@dataclass(frozen=True)
class ArchivedFile:
    """One file.

    Attributes:
        path: relative to the archive.
        sha256: of its bytes.
    """

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Batch:
    """What one key (an hour) of one table gave to the archive at one time."""

    table: str
    by: str
    key: str
    number: int
    archived_at: str
    files: tuple[ArchivedFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def manifest(self) -> str:
        """Path of the manifest."""
        return f"{folder_of(self.table, self.by, self.key)}/{self.number:0{_DIGITS}}.json"


@dataclass(frozen=True)
class Source:
    """A file to archive: how to open it, and the rows that its table says it has."""

    open: Callable[[], Any]
    rows: int


@dataclass(frozen=True)
class Archive:
    """The archive under one root, a folder or an object-store URL."""

    url: str

    @property
    def store(self) -> pyarrow.fs.FileSystem:
        """Its files."""
        folder = _local(self.url)
        if folder is None:
            return pyarrow.fs.PyFileSystem(ObjectStore(self.url.rstrip("/")))
        Path(folder).mkdir(parents=True, exist_ok=True)
        return pyarrow.fs.SubTreeFileSystem(folder, pyarrow.fs.LocalFileSystem())

    def put(self, table: str, by: str, key: str, number: int, sources: Sequence[Source]) -> Batch:
        """Copies files and writes their manifest; an earlier attempt at this batch is replaced.

        What it has written is not looked at yet: see `verify`.

        Args:
            table: name of the table.
            by: its partition column.
            key: the hour or day.
            number: of the batch, from 1.
            sources: the files.
        """
        store, folder = self.store, folder_of(table, by, key)
        self._forget(folder, number)
        files = []
        for source in sources:
            path = f"{folder}/{number:0{_DIGITS}}-{uuid4().hex}.parquet"
            size, digest = _copy(source, store, path)
            files.append(ArchivedFile(path, source.rows, size, digest))
            fault_point("archive.file_written")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        batch = Batch(table, by, key, number, now, tuple(files))
        fault_point("archive.before_manifest")
        self.write_manifest(batch)
        fault_point("archive.manifest_written")
        return batch

    def write_manifest(self, batch: Batch) -> None:
        """Writes a manifest, whole or not at all."""
        _write(self.url, self.store, batch.manifest, json.dumps(asdict(batch), indent=1).encode())

    def verify(self, batch: Batch) -> None:
        """Reads a batch back and compares hashes and numbers of rows.

        Raises:
            ArchiveError: a file is missing or holds other bytes or rows than it should.
        """
        store = self.store
        for file in batch.files:
            try:
                size, digest = _digest(store, file.path)
                with store.open_input_file(file.path) as content:
                    rows = pyarrow.parquet.read_metadata(content).num_rows
            except (OSError, pyarrow.ArrowInvalid) as error:
                raise ArchiveError(f"{self.url}/{file.path} cannot be read: {error}") from error
            if (size, digest, rows) != (file.bytes, file.sha256, file.rows):
                raise ArchiveError(
                    f"{self.url}/{file.path} holds {rows:,} rows in {size:,} bytes with SHA-256"
                    f" {digest[:12]}…, expected {file.rows:,} rows in {file.bytes:,} bytes with"
                    f" {file.sha256[:12]}…: nothing is removed for it. Delete the file, the next"
                    " run archives the hour anew"
                )

    def find(self, table: str, by: str, key: str, number: int) -> Batch | None:
        """A batch by its number; None: it has no manifest."""
        wanted = Batch(table, by, key, number, "", ())
        return self.read_manifest(wanted.manifest)

    def batches(self, table: str, key: str | None = None, by: str = "event_hour") -> list[Batch]:
        """All batches of a table, or of one hour or day of it, in order."""
        names = self.manifests(table if key is None else folder_of(table, by, key))
        return [batch for name in names if (batch := self.read_manifest(name)) is not None]

    def manifests(self, folder: str) -> list[str]:
        """Paths of the manifests of a table or of one of its folders, in order."""
        selector = pyarrow.fs.FileSelector(folder, recursive=True, allow_not_found=True)
        return sorted(
            info.path
            for info in self.store.get_file_info(selector)
            if info.is_file and info.path.endswith(".json")
        )

    def tables(self) -> list[str]:
        """Names of the tables that have anything here."""
        selector = pyarrow.fs.FileSelector("", recursive=True, allow_not_found=True)
        found = self.store.get_file_info(selector)
        return sorted({info.path.split("/")[0] for info in found if info.is_file})

    def delete(self, path: str) -> None:
        """Deletes a file; one that is gone already is no error."""
        try:
            self.store.delete_file(path)
        except (FileNotFoundError, OSError):
            if self.store.get_file_info(path).is_file:
                raise

    def read_manifest(self, path: str) -> Batch | None:
        """A batch by the path of its manifest; None: it has gone."""
        try:
            with self.store.open_input_file(path) as content:
                given = json.loads(content.read())
        except (FileNotFoundError, OSError):
            if self.store.get_file_info(path).is_file:
                raise
            return None
        files = tuple(ArchivedFile(**file) for file in given.pop("files"))
        return Batch(**given, files=files)

    def _forget(self, folder: str, number: int) -> None:
        """Removes what an attempt at a batch that never counted has left."""
        for path in list(_of_batch(self.store, folder, number)):
            self.delete(path)


def folder_of(table: str, by: str, key: str) -> str:
    """Where the batches of an hour or day lie."""
    return f"{table}/{by}={key}"


def _of_batch(store: pyarrow.fs.FileSystem, folder: str, number: int) -> Iterator[str]:
    selector = pyarrow.fs.FileSelector(folder, recursive=False, allow_not_found=True)
    for info in store.get_file_info(selector):
        name = info.path.rpartition("/")[2]
        if info.is_file and name.startswith((f"{number:0{_DIGITS}}-", f"{number:0{_DIGITS}}.")):
            yield info.path


def _copy(source: Source, store: pyarrow.fs.FileSystem, path: str) -> tuple[int, str]:
    """Copies a file; gives bytes and hash of what was read."""
    if isinstance(store, pyarrow.fs.SubTreeFileSystem):
        store.create_dir(path.rpartition("/")[0])  # object stores have no folders
    found, size = hashlib.sha256(), 0
    with source.open() as given, store.open_output_stream(path) as out:
        while chunk := given.read(_CHUNK):
            found.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return size, found.hexdigest()


def _digest(store: pyarrow.fs.FileSystem, path: str) -> tuple[int, str]:
    found, size = hashlib.sha256(), 0
    with store.open_input_file(path) as content:
        while chunk := content.read(_CHUNK):
            found.update(chunk)
            size += len(chunk)
    return size, found.hexdigest()


def _write(url: str, store: pyarrow.fs.FileSystem, path: str, content: bytes) -> None:
    """An object is there once it is closed; a file of a folder once it is renamed."""
    folder = _local(url)
    if folder is not None:
        store.create_dir(path.rpartition("/")[0])
    target = path if folder is None else f"{path}.{uuid4().hex}.part"
    with store.open_output_stream(target) as out:
        out.write(content)
    if folder is not None:
        Path(folder, target).replace(Path(folder, path))


def _local(url: str) -> str | None:
    """The folder that an address means; None: it lies in an object store."""
    if url.startswith("file://"):
        return unquote(url.removeprefix("file://"))
    return None if "://" in url else str(Path(url).absolute())
