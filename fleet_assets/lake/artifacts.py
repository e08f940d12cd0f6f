"""Files under the lake's root that are no tables: models, training sets, reports.

A file appears whole or not at all. Most are named by what they hold and never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pyarrow.fs

from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.object_store import ObjectStore
from fleet_assets.lake.room import room_explained

FOLDER: Final = "artifacts"
_UNFINISHED: Final = ".unfinished"


@dataclass(frozen=True)
class Artifacts:
    """The artifacts of a lake, a local folder or an object-store URL."""

    lake_url: str

    def uri(self, name: str = "") -> str:
        """Address of a file, or of the folder of all."""
        return "/".join(part for part in (self.lake_url.rstrip("/"), FOLDER, name) if part)

    def write(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        """Writes a file; once more with the same bytes changes nothing.

        Args:
            name: path under the folder of artifacts, such as `models/fm-0123456789ab.zip`.
            data: what it holds.
            overwrite: replace what another writer has left there.

        Raises:
            FleetError: the name leads out of the folder, or the file holds something else.
            LakeFullError: no room is left; nothing was written.
        """
        path = _path(name)
        if self.exists(name):
            if self.read(name) == data:
                return
            if not overwrite:
                raise FleetError(
                    f"{self.uri(name)} is there already and holds something else: artifacts do not"
                    " change; remove it if it is damaged."
                )
        fresh = f"{path}.{uuid4().hex}{_UNFINISHED}"
        with room_explained(self.uri(name)):
            if _local_folder(self.lake_url) is not None:  # object stores have no folders
                self._store.create_dir(str(PurePosixPath(path).parent))
            try:
                with self._store.open_output_stream(fresh) as out:
                    out.write(data)
                fault_point("artifacts.written")
                self._store.move(fresh, path)
            except BaseException:
                self._drop(fresh)
                raise

    def read(self, name: str) -> bytes:
        """What a file holds.

        Raises:
            FleetError: there is none of this name.
        """
        try:
            with self._store.open_input_file(_path(name)) as file:
                return bytes(file.read())
        except FileNotFoundError:
            raise FleetError(
                f"{self.uri(name)} is missing: restore it from a backup of the lake, or make it"
                " anew."
            ) from None

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return bool(self._store.get_file_info(_path(name)).type == pyarrow.fs.FileType.File)

    def names(self, prefix: str = "") -> list[str]:
        """Names of all files in a folder and below it, in order.

        Args:
            prefix: the folder, such as `models`; empty: all.
        """
        base = f"{FOLDER}/{_inside(prefix)}" if prefix.strip("/") else FOLDER
        chosen = pyarrow.fs.FileSelector(base, allow_not_found=True, recursive=True)
        found = self._store.get_file_info(chosen)
        return sorted(
            each.path.removeprefix(f"{FOLDER}/")
            for each in found
            if each.type == pyarrow.fs.FileType.File and not each.path.endswith(_UNFINISHED)
        )

    @cached_property
    def _store(self) -> pyarrow.fs.FileSystem:
        """The lake's root."""
        folder = _local_folder(self.lake_url)
        if folder is None:
            return pyarrow.fs.PyFileSystem(ObjectStore(self.lake_url))
        return pyarrow.fs.SubTreeFileSystem(str(folder), pyarrow.fs.LocalFileSystem())

    def _drop(self, path: str) -> None:
        """What a write that failed has left; a process that was killed leaves it for good."""
        if self._store.get_file_info(path).type == pyarrow.fs.FileType.File:
            self._store.delete_file(path)


def _path(name: str) -> str:
    return f"{FOLDER}/{_inside(name)}"


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or name.endswith(_UNFINISHED):
        raise FleetError(f"{name!r} is no name of an artifact, such as models/fm-0123456789ab.zip.")
    return str(path)


def _local_folder(url: str) -> Path | None:
    """The folder of a lake on this machine; None: it lies in an object store."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(url).absolute() if "://" not in url else None
