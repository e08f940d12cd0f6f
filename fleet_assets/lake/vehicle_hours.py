"""Keeping `vehicle_hours` in step with `telemetry`, hour by hour.

The commit to `vehicle_hour_states` is the truth: it carries the version of telemetry that it
includes, and is brought up to date by the rows that have come since. `vehicle_hours` follows with
the same marks; it is made from the states alone, so after a crash between the two commits it is
simply made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.hour_states import PART_ROWS, states_after
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.sealed import is_frozen
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.hour_states import FORM
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from fleet_assets.telemetry.vehicle_hours import vehicle_hours


@dataclass(frozen=True)
class VehicleHoursRefreshed:
    """What became of one hour.

    Attributes:
        verdicts: the checks that ran before the commits; none if nothing had to be done.
        rows_added: rows of telemetry that were taken in; None: all of the hour's were read.
    """

    event_hour: str
    processed_version: int
    rows: pl.DataFrame
    verdicts: tuple[Verdict, ...]
    rows_added: int | None = 0


def states_id(event_hour: str) -> str:
    """Name of the Delta transaction that holds the version of telemetry which states include."""
    return f"states-{FORM}/{event_hour}"


def tanks_id(event_hour: str) -> str:
    """Name of the Delta transaction that tells which sizes of tanks were used."""
    return f"tanks/{event_hour}"


def refresh_vehicle_hours(
    lake: Lake, event_hour: str, tanks: pl.DataFrame, *, force: bool = False
) -> VehicleHoursRefreshed:
    """Brings the hour up to date if its rows of telemetry have changed since.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        tanks: columns `vehicle_id`, `tank_gallons`, as of the hour's start.
        force: make it anew from all rows, even if nothing has moved on.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    anew = force

    def attempt() -> VehicleHoursRefreshed:
        nonlocal anew
        tables = _Tables.open(lake)
        states = tables.states_of([event_hour], anew=anew)
        anew = False  # committed: another attempt need not do it again
        return tables.hours_of(states, {event_hour: tanks})[event_hour]

    return retrying(f"vehicle_hours of {event_hour}", attempt)


def refresh_vehicle_hours_together(
    lake: Lake, event_hours: Iterable[str], tanks_of: Callable[[str], pl.DataFrame]
) -> dict[str, VehicleHoursRefreshed]:
    """Brings many small hours up to date with a few commits.

    All hours of a set that fails are left out: they are to be refreshed one by one.

    Args:
        lake: the lake.
        event_hours: keys of the hours.
        tanks_of: gives the tanks as of the start of an hour.
    """
    done: dict[str, VehicleHoursRefreshed] = {}
    for hours in _small_sets(lake.open("telemetry"), event_hours):
        tables = _Tables.open(lake)
        try:
            states = tables.states_of(hours, anew=False)
            done |= tables.hours_of(states, {hour: tanks_of(hour) for hour in hours})
        except Exception:  # whatever it is, the hour that is to blame will tell it when alone
            continue
    return done


def _small_sets(telemetry: TableSnapshot, event_hours: Iterable[str]) -> list[list[str]]:
    if telemetry.files.is_empty():
        return []
    rows = dict(telemetry.files.group_by("event_hour").agg(pl.col("num_records").sum()).rows())
    sets: list[list[str]] = [[]]
    size = 0
    for hour in event_hours:
        mine = rows.get(hour, 0)
        if size + mine > PART_ROWS:
            sets.append([])
            size = 0
        sets[-1].append(hour)
        size += mine
    return [hours for hours in sets if len(hours) > 1]


@dataclass(frozen=True)
class _Tables:
    """Snapshots of one attempt."""

    telemetry: TableSnapshot
    states: TableSnapshot
    hours: TableSnapshot

    @staticmethod
    def open(lake: Lake) -> _Tables:
        return _Tables(
            lake.open("telemetry"), lake.open("vehicle_hour_states"), lake.open("vehicle_hours")
        )

    def marks(self, event_hour: str) -> dict[str, int]:
        mark = self.telemetry.committed(app_id(event_hour))
        return {
            app_id(event_hour): -1 if mark is None else mark,
            rows_id(event_hour): self.telemetry.committed(rows_id(event_hour)) or 0,
        }

    def states_of(self, event_hours: Sequence[str], *, anew: bool) -> dict[str, _States]:
        """States of the hours as of this telemetry; those that had to be changed are committed."""
        found: dict[str, _States] = {}
        for hour in event_hours:
            before = self.states.read(hour)
            if is_frozen(self.telemetry, hour):
                found[hour] = _States(before, None, 0)
                continue
            base = self.states.committed(states_id(hour))
            if base is not None and not anew and _holds(self.states, self.marks(hour)):
                found[hour] = _States(before, None, 0)
                continue
            changed = states_after(self.telemetry, None if anew else base, before, hour)
            verdict = Verdict("vehicle_hour_states", changed.states.height, ())
            found[hour] = _States(changed.states, verdict, changed.rows_added)
        changed_ones = {hour: it.states for hour, it in found.items() if it.verdict is not None}
        if changed_ones:
            _check("vehicle_hour_states", changed_ones)
            marks = {hour: self.marks(hour) for hour in changed_ones}
            for hour in changed_ones:
                marks[hour][states_id(hour)] = self.telemetry.version
            fault_point("hours.before_states")
            _replace(self.states, changed_ones, marks)
            fault_point("hours.states_committed")
        return found

    def hours_of(
        self, states: Mapping[str, _States], tanks: Mapping[str, pl.DataFrame]
    ) -> dict[str, VehicleHoursRefreshed]:
        """The hours as their states have them; those that were not in line are committed."""
        made: dict[str, pl.DataFrame] = {}
        marks: dict[str, dict[str, int]] = {}
        for hour, it in states.items():
            marks[hour] = self.marks(hour) | {tanks_id(hour): _fingerprint(it.states, tanks[hour])}
            if is_frozen(self.telemetry, hour):
                continue
            if it.verdict is not None or not _holds(self.hours, marks[hour]):
                made[hour] = vehicle_hours(it.states, tanks[hour], hour)
        if made:
            _check("vehicle_hours", made)
            fault_point("hours.before_write")
            _replace(self.hours, made, {hour: marks[hour] for hour in made})
            fault_point("hours.committed")
        return {
            hour: VehicleHoursRefreshed(
                hour,
                marks[hour][app_id(hour)],
                made[hour] if hour in made else self.hours.read(hour),
                tuple(
                    verdict
                    for verdict in (
                        it.verdict,
                        Verdict("vehicle_hours", made[hour].height, ()) if hour in made else None,
                    )
                    if verdict is not None
                ),
                it.rows_added,
            )
            for hour, it in states.items()
        }


@dataclass(frozen=True)
class _States:
    """States of one hour; `verdict` is None if they were in line already."""

    states: pl.DataFrame
    verdict: Verdict | None
    rows_added: int | None


def _holds(table: TableSnapshot, marks: Mapping[str, int]) -> bool:
    return all(table.committed(name) == version for name, version in marks.items())


def _check(table: str, frames: Mapping[str, pl.DataFrame]) -> None:
    hour = next(iter(frames)) if len(frames) == 1 else None
    verdict = validate(table, pl.concat(frames.values()), hour)
    if not verdict.passed:
        raise InvalidHourError([verdict])


def _replace(
    table: TableSnapshot,
    frames: Mapping[str, pl.DataFrame],
    marks: Mapping[str, Mapping[str, int]],
) -> None:
    """Replaces the hours in one commit."""
    progress = {name: version for of_hour in marks.values() for name, version in of_hour.items()}
    added: dict[str | None, list[pl.DataFrame]] = {hour: [rows] for hour, rows in frames.items()}
    table.commit_files(added, table.files_of(frames), progress)


def _fingerprint(states: pl.DataFrame, tanks: pl.DataFrame) -> int:
    """Of the tanks of the hour's vehicles: another size makes the hour anew."""
    mine = tanks.select("vehicle_id", "tank_gallons").join(states, on="vehicle_id", how="semi")
    text = mine.sort("vehicle_id").write_csv(include_header=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
