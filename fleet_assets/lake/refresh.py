"""Refreshing one hour: new raw messages become telemetry, rejects and counts.

The commit to `telemetry` is the truth: it carries the version of `raw_telemetry` up to which the
hour's messages are taken in. Rejects and both tables of outcomes follow, each with the same
mark. When a crash comes between, the marks differ and the hour is rebuilt from all its raw rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.hour import HourStep, rebuild, step
from fleet_assets.telemetry.outcomes import (
    outcomes_after,
    outcomes_rebuilt,
    vehicle_outcomes_after,
)
from fleet_assets.telemetry.resolve import CONFLICTING, KEY
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate

FOLLOWERS: Final = ("telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes")
STEP_MESSAGES: Final = 1_500_000
"""Most messages that one step takes in; a landing is never divided."""


@dataclass(frozen=True)
class HourRefreshed:
    """What became of one hour.

    Attributes:
        processed_version: version of `raw_telemetry` whose messages are now included.
        new_messages: messages taken in by this refresh (all of the hour's, for a rebuild).
        rebuilt: the hour was made anew from all its messages.
        verdicts: the checks that ran before the commits.
        totals: the hour's outcomes, by name of the count.
    """

    event_hour: str
    processed_version: int
    new_messages: int
    rebuilt: bool
    verdicts: tuple[Verdict, ...]
    totals: dict[str, int]


def app_id(event_hour: str) -> str:
    """Name of the Delta transaction that marks how far an hour has been taken in."""
    return f"hour/{event_hour}"


def rows_id(event_hour: str) -> str:
    """Name of the Delta transaction that changes whenever an hour's rows of telemetry do.

    A rebuild may change them without new messages, when a vehicle has been registered.
    """
    return f"rows/{event_hour}"


def newest_raw_versions(raw: TableSnapshot) -> dict[str, int]:
    """Per hour the newest version of `raw_telemetry` that brought messages into it."""
    if raw.files.is_empty():
        return {}
    newest = raw.files.group_by("event_hour").agg(pl.col("max.landing_version").max())
    return dict(newest.iter_rows())


def refresh_hour(
    lake: Lake,
    event_hour: str,
    known_vehicles: frozenset[str],
    late_after: timedelta,
    *,
    force_rebuild: bool = False,
    raw: TableSnapshot | None = None,
) -> HourRefreshed:
    """Takes an hour's new messages in, or rebuilds it.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        known_vehicles: ids of all registered vehicles.
        late_after: age at arrival from which on a message counts as late.
        force_rebuild: make the hour anew even if nothing says that it must be.
        raw: snapshot of `raw_telemetry` to read; the newest if not given.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    snapshot = raw or lake.open("raw_telemetry")
    landed = newest_raw_versions(snapshot).get(event_hour, -1)

    def attempt() -> HourRefreshed:
        tables = {name: lake.open(name) for name in ("telemetry", *FOLLOWERS)}
        marks = {name: table.committed(app_id(event_hour)) for name, table in tables.items()}
        mark = marks["telemetry"]
        in_line = len(set(marks.values())) == 1
        registered = _holds_registered(tables["vehicle_outcomes"], event_hour, known_vehicles)
        anew = force_rebuild or not in_line or registered
        # opened after the marks were read, so it holds whatever others have taken in meanwhile
        source = lake.open("raw_telemetry") if anew else snapshot
        since = -1 if anew or mark is None else mark
        newest = newest_raw_versions(source).get(event_hour, -1)
        upto = newest if anew else _step_end(source, event_hour, since, newest)
        new = _messages(source, event_hour, since, upto)
        if new.is_empty() and not anew:
            return _unchanged(tables, event_hour, max(newest, since))
        change = _change(source, tables, event_hour, new, known_vehicles, since)
        return _commit(tables, event_hour, change, new, upto, anew, late_after)

    taken_in = 0
    while True:
        refreshed = retrying(f"refresh of {event_hour}", attempt)
        taken_in += refreshed.new_messages
        if refreshed.rebuilt or refreshed.processed_version >= landed:
            return replace(refreshed, new_messages=taken_in)


def _step_end(raw: TableSnapshot, event_hour: str, since: int, newest: int) -> int:
    """Version up to which one step goes, so that a backlog does not have to fit in memory."""
    files = raw.files.filter(
        (pl.col("event_hour") == event_hour) & (pl.col("max.landing_version") > since)
    )
    by_version = (
        files.group_by(version="max.landing_version")
        .agg(pl.col("num_records").sum())
        .sort("version")
        .with_columns(so_far=pl.col("num_records").cum_sum())
    )
    within = by_version.filter(pl.col("so_far") <= STEP_MESSAGES)["version"]
    if by_version.is_empty() or within.len() == by_version.height:
        return newest
    return int(within[-1] if within.len() else by_version["version"][0])


def _messages(
    raw: TableSnapshot, event_hour: str, since: int, upto: int, where: pl.Expr | None = None
) -> pl.DataFrame:
    """Messages that versions after `since` and up to `upto` have brought into the hour."""
    version = pl.col("landing_version")
    brought = (version > since) & (version <= upto)
    first, last = pl.col("min.landing_version"), pl.col("max.landing_version")
    return raw.read(
        event_hour,
        where=brought if where is None else brought & where,
        files_where=(last > since) & (first <= upto),
    )


def _holds_registered(
    vehicle_outcomes: TableSnapshot, event_hour: str, known_vehicles: frozenset[str]
) -> bool:
    """Messages of this hour were refused for a vehicle that is registered by now."""
    refused = pl.col("rejected_by_reason").str.contains("unknown_vehicle", literal=True)
    ids = vehicle_outcomes.read(event_hour, columns=["vehicle_id"], where=refused)["vehicle_id"]
    return any(vehicle in known_vehicles for vehicle in ids)


def _change(
    raw: TableSnapshot,
    tables: dict[str, TableSnapshot],
    event_hour: str,
    new: pl.DataFrame,
    known_vehicles: frozenset[str],
    since: int,
) -> HourStep:
    if since < 0:
        return rebuild(new, known_vehicles)

    def present_rows(keys: pl.DataFrame) -> pl.DataFrame:
        return _semi_join(tables["telemetry"], event_hour, keys)

    def earlier_messages(keys: pl.DataFrame) -> pl.DataFrame:
        ids = keys["vehicle_id"].unique().to_list()
        theirs = pl.col("vehicle_id").is_in(ids)
        return _messages(raw, event_hour, -1, since, theirs).join(keys, on=KEY, how="semi")

    return step(new, known_vehicles, present_rows, earlier_messages)


def _semi_join(telemetry: TableSnapshot, event_hour: str, keys: pl.DataFrame) -> pl.DataFrame:
    if keys.is_empty():
        return telemetry.contract.polars_schema.to_frame()
    first, last = keys["event_time"].min(), keys["event_time"].max()
    overlaps = (pl.col("min.event_time") <= last) & (pl.col("max.event_time") >= first)
    near = telemetry.read(
        event_hour,
        where=pl.col("event_time").is_between(first, last),
        files_where=overlaps.fill_null(True),
    )
    return near.join(keys, on=KEY, how="semi")


def _commit(
    tables: dict[str, TableSnapshot],
    event_hour: str,
    change: HourStep,
    new: pl.DataFrame,
    newest: int,
    anew: bool,
    late_after: timedelta,
) -> HourRefreshed:
    outcomes_before = tables["telemetry_outcomes"].read(event_hour)
    vehicles_before = tables["vehicle_outcomes"].read(event_hour)
    if anew:
        outcomes = outcomes_rebuilt(outcomes_before, change.verdicts, event_hour, late_after)
        vehicles_before = vehicles_before.clear()
    else:
        outcomes = outcomes_after(outcomes_before, change.verdicts, event_hour, late_after)
    vehicles = vehicle_outcomes_after(vehicles_before, change.verdicts, event_hour, late_after)
    telemetry, rewrite = _telemetry_rows(tables["telemetry"], event_hour, change, anew)
    rejects, rewrite_rejects = _reject_rows(tables["telemetry_rejects"], event_hour, change, anew)
    verdicts = [
        validate(name, rows, event_hour)
        for name, rows in (
            ("telemetry", telemetry),
            ("telemetry_rejects", rejects),
            ("telemetry_outcomes", outcomes),
            ("vehicle_outcomes", vehicles),
        )
    ]
    if not all(verdict.passed for verdict in verdicts):
        raise InvalidHourError(verdicts)

    taken_in = {app_id(event_hour): newest}
    fault_point("refresh.before_write")
    for name, rows, replaces_hour in (
        ("telemetry", telemetry, rewrite),
        ("telemetry_rejects", rejects, rewrite_rejects),
        ("telemetry_outcomes", outcomes, True),
        ("vehicle_outcomes", vehicles, True),
    ):
        progress = taken_in
        if name == "telemetry":
            progress = taken_in | {rows_id(event_hour): tables[name].version + 1}
        if replaces_hour:
            tables[name].replace_hour(rows, event_hour, progress)
        else:
            tables[name].append(rows, progress, exact=False)
        fault_point(f"refresh.{name}_committed")
    return HourRefreshed(event_hour, newest, new.height, anew, tuple(verdicts), _totals(outcomes))


def _telemetry_rows(
    table: TableSnapshot, event_hour: str, change: HourStep, anew: bool
) -> tuple[pl.DataFrame, bool]:
    """Rows to write, and whether they replace the hour (else they are added to it)."""
    if anew:
        return change.telemetry_added, True
    if change.contested.is_empty():
        return change.telemetry_added, False
    kept = table.read(event_hour).join(change.contested, on=KEY, how="anti")
    return pl.concat([kept, change.telemetry_added]).sort(KEY), True


def _reject_rows(
    table: TableSnapshot, event_hour: str, change: HourStep, anew: bool
) -> tuple[pl.DataFrame, bool]:
    if anew:
        return change.rejects_added, True
    if change.contested.is_empty():
        return change.rejects_added, False
    present = table.read(event_hour)
    conflicts = present.filter(pl.col("reason") == CONFLICTING)
    others = present.filter(pl.col("reason") != CONFLICTING)
    kept = conflicts.join(change.contested, on=KEY, how="anti")
    return pl.concat([others, kept, change.rejects_added]), True


def _unchanged(tables: dict[str, TableSnapshot], event_hour: str, version: int) -> HourRefreshed:
    outcomes = tables["telemetry_outcomes"].read(event_hour)
    return HourRefreshed(event_hour, version, 0, False, (), _totals(outcomes))


def _totals(outcomes: pl.DataFrame) -> dict[str, int]:
    names = ["read", "accepted", "duplicate", "rejected", "pending", "late"]
    return outcomes.select(pl.col(names).sum()).row(0, named=True)
