"""The four tables of a refresh at one moment, and committing to them in their order.

`telemetry` is the truth, the others follow; all commits of a refresh carry the same marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
from deltalake.transaction import AddAction

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.hour_files import write_hours
from fleet_assets.lake.marks import (
    Mark,
    agree,
    app_id,
    base_id,
    expired_id,
    mark_of,
    readmitted_id,
    rows_id,
)
from fleet_assets.lake.room import room_explained
from fleet_assets.lake.sealed import is_frozen
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.telemetry.hour import UNKNOWN_VEHICLE

FOLLOWERS: Final = ("telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes")


@dataclass(frozen=True)
class Write:
    """What a commit does to one table.

    Attributes:
        rows: new rows; a frame becomes a file for each of its hours.
        removed: rows of `files` that are removed.
        written: files that are written already.
    """

    rows: Sequence[pl.DataFrame]
    removed: pl.DataFrame
    written: Sequence[AddAction] = field(default=())


@dataclass(frozen=True)
class HourTables:
    """Snapshots; `raw` was opened last, so it holds all that the others have taken in."""

    telemetry: TableSnapshot
    telemetry_rejects: TableSnapshot
    telemetry_outcomes: TableSnapshot
    vehicle_outcomes: TableSnapshot
    raw: TableSnapshot

    @classmethod
    def open(cls, lake: Lake) -> HourTables:
        """The newest snapshots."""
        return cls(*(lake.open(name) for name in ("telemetry", *FOLLOWERS, "raw_telemetry")))

    def table(self, name: str) -> TableSnapshot:
        """One of them by its name."""
        found: TableSnapshot = getattr(self, name)
        return found

    def mark(self, event_hour: str) -> Mark:
        """How far the hour has come."""
        return mark_of(self.telemetry, event_hour)

    def lagging(self, event_hour: str) -> list[str]:
        """Tables that do not hold what `telemetry` says, after a crash between two commits."""
        truth = self.mark(event_hour)
        return [
            name for name in FOLLOWERS if not agree(truth, mark_of(self.table(name), event_hour))
        ]

    def raw_is_complete(self, event_hour: str) -> bool:
        """No raw message of the hour has expired."""
        return self.raw.committed(expired_id(event_hour)) is None

    def registered(
        self, event_hours: Iterable[str], known_vehicles: frozenset[str]
    ) -> dict[str, frozenset[str]]:
        """By hour, vehicles whose messages were refused and that are registered by now.

        Hours that cannot be made anew are left out.
        """
        refused = pl.col("rejected_by_reason").str.contains(UNKNOWN_VEHICLE, literal=True)
        found = self.vehicle_outcomes.read_files(
            self.vehicle_outcomes.files_of(event_hours),
            columns=["event_hour", "vehicle_id"],
            where=refused & pl.col("vehicle_id").is_in(list(known_vehicles)),
        )
        by_hour = found.group_by("event_hour").agg("vehicle_id")
        return {
            hour: frozenset(vehicles)
            for hour, vehicles in by_hour.iter_rows()
            if not is_frozen(self.telemetry, hour)
        }

    def commit(
        self,
        writes: Mapping[str, Write],
        versions: Mapping[str, int],
        *,
        rows: int | None = None,
        readmitted: int = 0,
    ) -> None:
        """Commits table after table.

        Args:
            writes: by name of the table, those that are to be written.
            versions: by hour, version of `raw_telemetry` up to which it is taken in.
            rows: number of the rows of telemetry; a new one if not given.
            readmitted: from how many files of rejects messages come back.
        """
        number = self.telemetry.version + 1 if rows is None else rows
        fault_point("refresh.before_write")
        for name in ("telemetry", *FOLLOWERS):
            if name not in writes:
                continue
            table, write = self.table(name), writes[name]
            actions = [*write.written]
            with room_explained(table.delta.table_uri):
                for frame in write.rows:
                    actions += write_hours(table.delta, table.contract, frame)
            fault_point(f"refresh.{name}_written")
            progress = {app_id(hour): version for hour, version in versions.items()}
            progress |= {rows_id(hour): number for hour in versions}
            progress |= {base_id(hour): table.version for hour in versions}
            if name == "telemetry":
                progress |= {readmitted_id(hour): readmitted for hour in versions}
            table.commit_actions(actions, write.removed, progress)
            fault_point(f"refresh.{name}_committed")
