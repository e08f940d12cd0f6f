"""Opening, reading and committing the lake's Delta tables.

A commit names how far its inputs had been read (a Delta application transaction), so data and
progress can never disagree.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from fleet_assets.contracts.table import Table
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.evolution import bring_up_to, refuse_other_types
from fleet_assets.lake.files import removal, write_file
from fleet_assets.lake.hour_files import write_hours
from fleet_assets.lake.log import Marks
from fleet_assets.lake.room import lacks_room, room_explained

T = TypeVar("T")

_STATISTICS = {
    "raw_telemetry": "landing_version,kafka_partition,kafka_offset,append_time,replay_of",
    "telemetry": "vehicle_id,event_time",
    "telemetry_rejects": "landing_version,append_time",
    "vehicle_hours": "vehicle_id",
    "segments": "vehicle_id",
    "vehicle_codes": "vehicle_id",
    "rule_eligibility": "vehicle_id",
    "trip_segments": "vehicle_id",
    "trips": "state",
    "rule_anomalies": "state,closes_at",
    "feature_windows": "vehicle_id",
    "model_segments": "vehicle_id",
    "model_anomalies": "state,closes_at",
}
_COMMIT_ATTEMPTS = 8
_FILE = "__file"
_CUT_FROM_BOUNDS = timedelta(microseconds=999)


class CommitConflictError(Exception):
    """Somebody else committed meanwhile: recompute from the inputs and try again."""


@dataclass(frozen=True)
class Lake:
    """The lake under one root, a local folder or an object-store URL."""

    url: str

    def uri(self, name: str) -> str:
        """Address of a table."""
        return f"{self.url.rstrip('/')}/{name}"

    def open(self, name: str) -> TableSnapshot:
        """A snapshot of a table, which is made if it is missing, with all columns of its contract.

        Raises:
            FleetError: what is there contradicts the contract.
        """
        contract = TABLE_BY_NAME[name]
        configuration = {"delta.checkpointInterval": "50"}
        if name in _STATISTICS:
            configuration["delta.dataSkippingStatsColumns"] = _STATISTICS[name]
        found = self.find(name)
        if found is None:
            with room_explained(self.uri(name)):
                DeltaTable.create(
                    self.uri(name),
                    contract.arrow_schema,
                    mode="ignore",
                    partition_by=[contract.partition_by] if contract.partition_by else None,
                    description=contract.description,
                    configuration=configuration,
                )
            found = TableSnapshot(contract, DeltaTable(self.uri(name)))
        return TableSnapshot(contract, bring_up_to(found.delta, contract, configuration))

    def find(self, name: str) -> TableSnapshot | None:
        """A snapshot of a table, or None: nothing is made, so that readers leave no trace.

        Raises:
            FleetError: a column has another type than in its contract.
        """
        contract = TABLE_BY_NAME[name]
        try:
            delta = DeltaTable(self.uri(name))
        except TableNotFoundError:
            return None
        refuse_other_types(delta, contract)
        return TableSnapshot(contract, delta)


@dataclass(frozen=True)
class TableSnapshot:
    """One version of a table: what is read and committed through it is one transaction."""

    contract: Table
    delta: DeltaTable

    @property
    def version(self) -> int:
        """Version of the table."""
        return self.delta.version()

    def committed(self, app_id: str) -> int | None:
        """How far an application had come in this version; None: it has not begun."""
        return self._marks.of(app_id)

    @property
    def _partitioned_by(self) -> list[str]:
        return [self.contract.partition_by] if self.contract.partition_by else []

    @cached_property
    def _marks(self) -> Marks:
        return Marks(self.delta)

    @cached_property
    def files(self) -> pl.DataFrame:
        """Files of this version: `path`, partition column, `num_records`, `size_bytes`, `max.*`.

        Upper bounds of times are widened by what the log may have cut off: delta-rs and Spark
        keep milliseconds.
        """
        files = pl.DataFrame(self.delta.get_add_actions(flatten=True)).rename(
            {f"partition.{by}": by for by in self._partitioned_by}, strict=False
        )
        return files.with_columns(
            pl.col(name) + _CUT_FROM_BOUNDS
            for name, dtype in files.schema.items()
            if name.startswith("max.") and dtype.is_temporal()
        )

    def read(
        self,
        key: str | None = None,
        columns: list[str] | None = None,
        where: pl.Expr | None = None,
        files_where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """Rows of the table, all or of one partition.

        A column that is younger than a row holds null there, or the contract's default.

        Args:
            key: only this hour or day.
            columns: only these, in this order.
            where: only rows that fulfil this.
            files_where: only files that fulfil this (a condition on `files`).
        """
        files = self.files if key is None else self.files_of([key])
        if files_where is not None:
            files = files.filter(files_where)
        return self.read_files(files, columns, where)

    def files_of(self, keys: Iterable[str]) -> pl.DataFrame:
        """Those of `files` that belong to these hours or days; of a table that has such."""
        if self.files.is_empty() or self.contract.partition_by is None:
            return self.files
        return self.files.filter(pl.col(self.contract.partition_by).is_in(list(keys)))

    def paths(self, files: pl.DataFrame) -> list[str]:
        """Full paths of files, in their order."""
        root = self.delta.table_uri.rstrip("/")
        return [f"{root}/{path}" for path in files["path"]]

    def read_files(
        self,
        files: pl.DataFrame,
        columns: list[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """Rows of some of `files` (see `read`)."""
        wanted = columns or self.contract.names
        rows = self.scan(files)
        if where is not None:
            rows = rows.filter(where)
        return rows.select(wanted).collect()

    def scan(self, files: pl.DataFrame) -> pl.LazyFrame:
        """Rows of some of `files`, to be read when they are asked for."""
        schema = self.contract.polars_schema
        if files.is_empty():
            return schema.to_frame().lazy()
        paths, by = self.paths(files), self.contract.partition_by
        rows = pl.scan_parquet(
            paths, glob=False, hive_partitioning=False,
            schema={name: kind for name, kind in schema.items() if name != by},
            missing_columns="insert", extra_columns="ignore",
            include_file_paths=_FILE if by else None,
        )  # fmt: skip
        if by:  # one scan of many files takes a tenth of the time of one for each
            keys = dict(zip(paths, files[by], strict=True))
            one = files[by].n_unique() == 1
            of_file = pl.lit(files[by][0]) if one else pl.col(_FILE).replace_strict(keys)
            rows = rows.with_columns(of_file.cast(pl.String).alias(by)).drop(_FILE)
        return rows.with_columns(
            pl.col(name).fill_null(value) for name, value in self.contract.defaults.items()
        ).select(schema.names())

    def append(
        self, rows: pl.DataFrame, progress: Mapping[str, int], note: Mapping[str, str]
    ) -> None:
        """Adds rows of many partitions and moves progress on, in a commit that is the next version.

        Args:
            rows: rows of the contract, which has partitions; those of one together.
            progress: app id → version reached with this commit.
            note: kept with the commit, for `history`.

        Raises:
            CommitConflictError: another commit stands in the way.
        """
        commit = CommitProperties(
            custom_metadata=dict(note),
            app_transactions=[Transaction(app, version) for app, version in progress.items()],
            max_commit_retries=0,
        )
        with room_explained(self.delta.table_uri):
            actions = write_hours(self.delta, self.contract, rows)
            fault_point("landing.files_written")
            try:
                self.delta.create_write_transaction(
                    list(actions), "append", self.delta.schema(), self._partitioned_by,
                    commit_properties=commit,
                )  # fmt: skip
            except DeltaError as error:
                if _is_conflict(error):
                    raise CommitConflictError(str(error)) from error
                raise

    def commit_files(
        self,
        added: Mapping[str | None, Sequence[pl.DataFrame]],
        removed: pl.DataFrame,
        progress: Mapping[str, int],
        *,
        data_change: bool = True,
    ) -> None:
        """Adds files of rows and removes files of this snapshot, in one commit.

        If others have committed meanwhile, the commit still stands as long as nobody has moved
        the same progress or removed one of the same files: what it was computed from is unchanged.

        Args:
            added: per hour or day (None: the table has no partitions) a frame of rows for each
                new file.
            removed: rows of `files` to remove.
            progress: app id → version reached with this commit; names every partition that is
                touched.
            data_change: false for rows that are only arranged in another way.

        Raises:
            CommitConflictError: another commit has changed what this one was computed from.
        """
        with room_explained(self.delta.table_uri):
            actions: list[AddAction | RemoveAction] = [
                write_file(self.delta, self.contract, key, rows)
                for key, frames in added.items()
                for rows in frames
                if not rows.is_empty()
            ]
        fault_point(f"{self.contract.name}.files_written")
        self.commit_actions(actions, removed, progress, data_change=data_change)

    def commit_actions(
        self,
        added: Sequence[AddAction | RemoveAction],
        removed: pl.DataFrame,
        progress: Mapping[str, int],
        *,
        data_change: bool = True,
    ) -> None:
        """The same for files that are written already (see `commit_files`)."""
        actions = [*added, *removal(self.delta, removed, data_change=data_change)]
        commit = CommitProperties(
            app_transactions=[Transaction(app, version) for app, version in progress.items()],
            max_commit_retries=0,
        )
        before = {app: self.committed(app) for app in progress}
        current = self
        for number in range(_COMMIT_ATTEMPTS):
            try:
                with room_explained(self.delta.table_uri):
                    current.delta.create_write_transaction(
                        actions,
                        "append",
                        current.delta.schema(),
                        self._partitioned_by,
                        commit_properties=commit,
                    )
            except DeltaError as error:
                if not _is_conflict(error):
                    raise
                conflict = error
            else:
                return
            time.sleep(random.uniform(0, 0.02 * 2**number))
            current = TableSnapshot(self.contract, DeltaTable(self.delta.table_uri))
            moved = [app for app, version in before.items() if current.committed(app) != version]
            gone = set(removed["path"]) - set(current.files["path"]) if removed.height else set()
            if moved or gone:
                raise CommitConflictError(f"{self.contract.name}: {conflict}") from conflict
        raise CommitConflictError(f"{self.contract.name}: {conflict}") from conflict


def _is_conflict(error: DeltaError) -> bool:
    if lacks_room(error):
        return False
    said = str(error).lower()
    return isinstance(error, CommitFailedError) or "conflict" in said or "transaction" in said


def retrying(what: str, attempt: Callable[[], T]) -> T:
    """Runs an attempt that recomputes from its inputs until no other commit stands in its way.

    Raises:
        FleetError: the attempts are used up.
    """
    for number in range(_COMMIT_ATTEMPTS):
        try:
            return attempt()
        except CommitConflictError as conflict:
            last = conflict
            time.sleep(random.uniform(0, 0.05 * 2**number))
    raise FleetError(
        f"{what}: {_COMMIT_ATTEMPTS} commits in a row met another writer; it will be tried again"
        f" by the next run ({last})"
    )
