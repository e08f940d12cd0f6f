"""How far each table has come with each hour, by the marks that its own commits carry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from fleet_assets.lake.by_onset import found_id, stitched_id
from fleet_assets.lake.follow import telemetry_marks
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, by_hour, collected_id, rows_id
from fleet_assets.lake.store import TableSnapshot

FOLLOWERS: Final = (
    "segments", "vehicle_codes", "rule_eligibility", "trip_segments", "feature_windows",
    "model_segments", "model_hours",
)  # fmt: skip
"""Made hour by hour from telemetry and the end of the hour before."""
PIECES: Final[Mapping[str, tuple[str, ...]]] = {
    "rule_anomalies": ("segments", "vehicle_codes"),
    "trips": ("trip_segments",),
    "model_anomalies": ("model_segments",),
}
"""Tables by onset, with the tables of the pieces that they are stitched from."""
NUMBERED: Final = (
    "rule_eligibility", "trips", "vehicle_codes", "rule_anomalies", "anomalies",
    "model_hours", "model_anomalies",
)  # fmt: skip
"""Tables whose hours are loaded into the warehouse by the number of their rows."""
COLLECTED: Final = ("rule_anomalies", "model_anomalies")
"""What `anomalies` are collected from."""
PROCESSED_SCHEMA: Final = pl.Schema(
    {"event_hour": pl.String(), "table_name": pl.String(), "processed_version": pl.Int64()}
)
NUMBER_SCHEMA: Final = pl.Schema(
    {"event_hour": pl.String(), "table_name": pl.String(), "rows_number": pl.Int64()}
)

Marks = Mapping[str, Mapping[str, int]]
"""Of each table, by name: its marks by theirs."""


def marks_of(tables: Mapping[str, TableSnapshot]) -> Marks:
    """All marks of all tables, each log read once."""
    return {name: all_marks(snapshot.delta) for name, snapshot in tables.items()}


def processed_versions(marks: Marks, hours: Collection[str] | None = None) -> pl.DataFrame:
    """Newest version of `raw_telemetry` that each table includes of each hour.

    Null where the table has begun the hour and is not in line with what it follows although it
    has seen the same messages: a vehicle was registered, late data came before the hour, or what
    the hour's pieces mean has not been worked out yet.

    Args:
        marks: as of `marks_of`.
        hours: only these; None: all.

    Returns:
        Rows of PROCESSED_SCHEMA.
    """
    known: dict[str, dict[str, int | None]] = {
        name: {
            hour: version
            for hour, version in by_hour(mine, app_id).items()
            if hours is None or hour in hours
        }
        for name, mine in marks.items()
    }
    for name in FOLLOWERS:
        if name in marks and "telemetry" in marks:
            known[name] = _followed(known[name], marks[name], marks["telemetry"])
    for name, pieces in PIECES.items():
        if name in marks and all(one in marks for one in pieces):
            known[name] = _stitched(name, pieces, marks, known)
    if "rule_anomalies" in known:  # nothing is collected, and no table made, before a first finding
        known["anomalies"] = _collected(marks, known["rule_anomalies"])
    rows = [
        (hour, name, version) for name, hours in known.items() for hour, version in hours.items()
    ]
    return pl.DataFrame(rows, schema=PROCESSED_SCHEMA, orient="row")


def row_numbers(marks: Marks) -> pl.DataFrame:
    """Number of each hour's rows, which the warehouse notes when it loads them.

    Returns:
        Rows of NUMBER_SCHEMA, of the tables NUMBERED.
    """
    rows = [
        (hour, name, number)
        for name in NUMBERED
        for hour, number in numbers_of(name, marks.get(name, {})).items()
    ]
    return pl.DataFrame(rows, schema=NUMBER_SCHEMA, orient="row")


def numbers_of(name: str, marks: Mapping[str, int]) -> dict[str, int]:
    """By hour, the number that the newest commit to its rows has given it.

    Args:
        name: one of NUMBERED.
        marks: of that table.
    """
    by_found = ("rule_eligibility", "vehicle_codes", "model_hours")
    return by_hour(marks, found_id if name in by_found else rows_id)


def _followed(
    known: Mapping[str, int | None], mine: Mapping[str, int], telemetry: Mapping[str, int]
) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for hour, version in known.items():
        wanted = telemetry_marks(telemetry.get, hour)
        in_line = all(mine.get(mark) == number for mark, number in wanted.items())
        lags = (version or 0) < wanted[app_id(hour)]
        found[hour] = version if in_line or lags else None
    return found


def _stitched(
    name: str,
    pieces: tuple[str, ...],
    marks: Marks,
    known: Mapping[str, Mapping[str, int | None]],
) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for hour in known[pieces[0]]:
        done = all(
            marks[name].get(stitched_id(one, hour)) == marks[one].get(found_id(hour))
            for one in pieces
        )
        versions = [version for one in pieces if (version := known[one].get(hour)) is not None]
        found[hour] = min(versions) if done and len(versions) == len(pieces) else None
    return found


def _collected(marks: Marks, known: Mapping[str, int | None]) -> dict[str, int | None]:
    mine = marks.get("anomalies", {})

    def in_line(hour: str) -> bool:
        return all(
            (mine.get(collected_id(name, hour)) or 0) == (marks[name].get(rows_id(hour)) or 0)
            for name in COLLECTED
            if name in marks
        )

    return {hour: version if in_line(hour) else None for hour, version in known.items()}
