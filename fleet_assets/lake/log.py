"""What a Delta table's log holds beyond the list of its files: all marks, all paths ever named.

deltalake answers for one application at a time, scanning the log for each; a ledger of 10,000 hours
and six tables needs them all at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

import polars as pl
import pyarrow.fs
import pyarrow.parquet
from deltalake import DeltaTable

from fleet_assets.lake.files import filesystem

_LOG: Final = "_delta_log"
_COMMIT: Final = re.compile(r"(\d{20})\.json")
_CHECKPOINT: Final = re.compile(r"(\d{20})\.checkpoint(\.\d{10}\.\d{10})?\.parquet")


def all_marks(delta: DeltaTable) -> dict[str, int]:
    """Every application's version in this version of the table (Delta's `txn` actions)."""
    try:
        return _marks(filesystem(delta), delta.version())
    except FileNotFoundError:  # the log was shortened meanwhile: its newer checkpoint has it all
        return _marks(filesystem(delta), delta.version())


class Marks:
    """Applications' versions in a table: asked for one by one, and after a few read all at once."""

    FEW: Final = 20
    """So many single questions take as long as reading a long log."""

    def __init__(self, delta: DeltaTable) -> None:
        self._delta = delta
        self._asked = 0
        self._all: dict[str, int] = {}
        self._read_at = -1

    def of(self, app_id: str) -> int | None:
        """How far an application has come; None: it has not begun."""
        version = self._delta.version()
        if self._read_at != version:
            self._asked += 1
            if self._asked <= self.FEW:
                return self._delta.transaction_version(app_id)
            self._all, self._read_at, self._asked = all_marks(self._delta), version, 0
        return self._all.get(app_id)


def _marks(store: pyarrow.fs.FileSystem, version: int) -> dict[str, int]:
    checkpoint, commits = _log_files(store, version)
    marks: dict[str, int] = {}
    for path in checkpoint:
        for action in _column(store, path, "txn"):
            marks[action["appId"]] = action["version"]
    for path in commits:
        for action in _actions(store, path, "txn"):
            marks[action["appId"]] = action["version"]
    return marks


def mentioned_files(delta: DeltaTable) -> set[str]:
    """Paths of all data files that the log still names: present ones, and removed ones that an
    older version of the table may be read with."""
    store = filesystem(delta)
    names = [info.path for info in _listed(store)]
    found: set[str] = set()
    for path in names:
        name = path.rpartition("/")[2]
        for kind in ("add", "remove"):
            if _CHECKPOINT.fullmatch(name):
                found.update(action["path"] for action in _column(store, path, kind))
            elif _COMMIT.fullmatch(name):
                found.update(action["path"] for action in _actions(store, path, kind))
    return {unquote(path) for path in found}


def stored_files(delta: DeltaTable) -> pl.DataFrame:
    """Parquet files that lie in the table's folder: `path`, `size_bytes`, `modified_at`."""
    everything = filesystem(delta).get_file_info(pyarrow.fs.FileSelector("", recursive=True))
    rows = [
        (info.path, info.size, info.mtime)
        for info in everything
        if info.is_file and info.path.endswith(".parquet") and not info.path.startswith(_LOG)
    ]
    schema = {
        "path": pl.String(),
        "size_bytes": pl.Int64(),
        "modified_at": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(rows, schema=pl.Schema(schema), orient="row")


def _log_files(store: pyarrow.fs.FileSystem, version: int) -> tuple[list[str], list[str]]:
    """The newest checkpoint up to the version, and the commits after it, in order."""
    checkpoints: dict[int, list[str]] = {}
    commits: dict[int, str] = {}
    for info in _listed(store):
        name = info.path.rpartition("/")[2]
        if found := _CHECKPOINT.fullmatch(name):
            checkpoints.setdefault(int(found[1]), []).append(info.path)
        elif found := _COMMIT.fullmatch(name):
            commits[int(found[1])] = info.path
    base = max((number for number in checkpoints if number <= version), default=-1)
    after = [commits[number] for number in sorted(commits) if base < number <= version]
    return checkpoints.get(base, []), after


def _listed(store: pyarrow.fs.FileSystem) -> list[Any]:
    selector = pyarrow.fs.FileSelector(_LOG, recursive=False, allow_not_found=True)
    return list(store.get_file_info(selector))


def _column(store: pyarrow.fs.FileSystem, path: str, kind: str) -> Iterator[dict[str, Any]]:
    with store.open_input_file(path) as file:
        parquet = pyarrow.parquet.ParquetFile(file)
        if kind in parquet.schema_arrow.names:
            for action in parquet.read(columns=[kind])[kind].to_pylist():
                if action is not None:
                    yield action


def _actions(store: pyarrow.fs.FileSystem, path: str, kind: str) -> Iterator[dict[str, Any]]:
    beginning = f'{{"{kind}":'
    with store.open_input_stream(path) as file:
        for line in file.read().decode().splitlines():
            if line.startswith(beginning):
                yield json.loads(line)[kind]
