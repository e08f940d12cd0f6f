"""States of an hour from the lake: by what has changed since, or from all rows in bounded parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.changes import HourChange, hour_change
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.telemetry.hour_states import (
    hour_states,
    no_states,
    out_of_order,
    slot,
    slots_near,
    states_with,
)
from fleet_assets.telemetry.samples import MOMENTARY, momentary, samples

PART_ROWS: Final = 4_000_000
"""Rows that are held at once (60 bytes each, several times while they are sorted and summed)."""


@dataclass(frozen=True)
class StatesChanged:
    """States that include a version of telemetry.

    Attributes:
        rows_added: rows that came since; None: all rows of the hour were read.
    """

    states: pl.DataFrame
    rows_added: int | None


def states_after(
    telemetry: TableSnapshot, base: int | None, before: pl.DataFrame, event_hour: str
) -> StatesChanged:
    """States of an hour, from those of an older version of telemetry if that is possible.

    Args:
        telemetry: the version to include.
        base: the version that `before` includes; None: make the states anew.
        before: states of the hour.
        event_hour: key of the hour.
    """
    files = telemetry.files.filter(pl.col("event_hour") == event_hour)
    change = None if base is None else hour_change(telemetry, base, event_hour)
    if change is not None:
        found = _step(telemetry, change, before, event_hour)
        if found is not None and found.states["messages"].sum() == files["num_records"].sum():
            return found
    return StatesChanged(_computed(telemetry, files["path"].to_list(), event_hour), None)


def _step(
    telemetry: TableSnapshot, change: HourChange, before: pl.DataFrame, event_hour: str
) -> StatesChanged | None:
    """The states moved on by the rows that came and went; None: better from all rows."""
    try:
        if _rows(telemetry, change.added) + _rows(telemetry, change.removed) > 2 * PART_ROWS:
            return None
        new, gone = _samples(telemetry, change.added), _samples(telemetry, change.removed)
    except FileNotFoundError:
        return None  # vacuumed
    if not gone.is_empty():
        new, gone = _without(new, gone), _without(gone, new)
    # what went may have been an extreme or a first value, which no sum gives back
    redo = gone["vehicle_id"].unique().sort()
    again = pl.col("vehicle_id").is_in(redo.implode())
    kept = before.filter(~again)
    states = kept
    fresh = new.filter(~again)
    if not fresh.is_empty():
        near = _near(telemetry, change.kept, out_of_order(kept, fresh))
        states = states_with(kept, fresh, near, event_hour)
    if not redo.is_empty():
        paths = telemetry.files.filter(pl.col("event_hour") == event_hour)["path"].to_list()
        states = pl.concat([states, _computed(telemetry, paths, event_hour, redo)])
    return StatesChanged(states.sort("vehicle_id"), new.height)


def _near(
    telemetry: TableSnapshot, paths: Sequence[str], late: pl.DataFrame
) -> pl.DataFrame | None:
    if late.is_empty() or not paths:
        return None
    fault_point("hours.mid_read")
    return (
        momentary(_scan(telemetry, paths))
        .with_columns(slot=slot())
        .join(slots_near(late).lazy(), on=["vehicle_id", "slot"], how="semi")
        .select(MOMENTARY)
        .collect(engine="streaming")
    )


def _computed(
    telemetry: TableSnapshot,
    paths: Sequence[str],
    event_hour: str,
    vehicles: pl.Series | None = None,
) -> pl.DataFrame:
    """States from all rows of the hour, or of some vehicles, part by part."""
    if not paths:
        return no_states()
    rows = _scan(telemetry, paths)
    if vehicles is not None:
        rows = rows.filter(pl.col("vehicle_id").is_in(vehicles.implode()))
    parts = [no_states()]
    for first, last in _ranges(rows, _rows(telemetry, paths)):
        within = rows
        if first is not None:
            within = rows.filter(pl.col("vehicle_id").is_between(pl.lit(first), pl.lit(last)))
        part = samples(within).collect(engine="streaming")
        parts.append(hour_states(part, event_hour))
    return pl.concat(parts).sort("vehicle_id")


def _ranges(rows: pl.LazyFrame, most: int) -> Iterator[tuple[str | None, str | None]]:
    """Ranges of vehicles (first, last) of about PART_ROWS rows each; (None, None): one for all."""
    if most <= PART_ROWS:
        yield None, None
        return
    counted = rows.group_by("vehicle_id").agg(rows=pl.len()).collect(engine="streaming")
    part = (pl.col("rows").cum_sum() - pl.col("rows")) // PART_ROWS
    ranges = (
        counted.sort("vehicle_id")
        .group_by(part=part, maintain_order=True)
        .agg(first=pl.col("vehicle_id").first(), last=pl.col("vehicle_id").last())
    )
    yield from ranges.select("first", "last").iter_rows()


def _samples(telemetry: TableSnapshot, paths: Sequence[str]) -> pl.DataFrame:
    return samples(_scan(telemetry, paths)).collect(engine="streaming")


def _rows(telemetry: TableSnapshot, paths: Sequence[str]) -> int:
    return int(_scan(telemetry, paths).select(pl.len()).collect().item())


def _scan(telemetry: TableSnapshot, paths: Sequence[str]) -> pl.LazyFrame:
    """Rows of files of any version that have not been vacuumed."""
    hour = pl.lit("").alias("event_hour")
    return telemetry.scan(
        pl.DataFrame({"path": paths}, schema={"path": pl.String}).with_columns(hour)
    )


def _without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    return rows.join(others, on=rows.columns, how="anti", nulls_equal=True)
