"""Ids that overlapping anomalies share, over the edges of hours and whatever has found them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_findings import with_finding_ids
from fleet_assets.anomalies.long import LONGEST
from fleet_assets.lake.by_onset import stretches
from fleet_assets.lake.chains import hours_of, read_groups
from fleet_assets.lake.store import TableSnapshot
from partitions.hours import HOUR, hour_key, hour_start

_GROUP: Final = ("vehicle_id", "anomaly_type")
_COLUMNS: Final = (*_GROUP, "anomaly_id", "finding_id", "event_hour", "started_at", "ended_at")
_LIVE: Final = pl.col("stage") == "live"


def shared_ids(
    found: Sequence[TableSnapshot], anomalies: TableSnapshot, event_hours: Sequence[str]
) -> tuple[pl.DataFrame, list[str]]:
    """Finding ids of what counts in some hours, and of what their change has touched elsewhere.

    Args:
        found: `rule_anomalies` and `model_anomalies`, where they are there.
        anomalies: `anomalies`, as they were before.
        event_hours: keys of the hours of onset that have changed.

    Returns:
        `anomaly_id` and `finding_id`; and the hours in which an id differs from what is there,
        besides those that have changed.
    """
    ids: list[pl.DataFrame] = []
    others: set[str] = set()
    for first, last in stretches(sorted(event_hours), 2 * LONGEST):
        named, differing = _around(found, anomalies, first, last)
        ids.append(named.select("anomaly_id", "finding_id"))
        others |= set(differing["event_hour"])
    return pl.concat(ids).unique("anomaly_id"), sorted(others - set(event_hours))


def _around(
    found: Sequence[TableSnapshot], anomalies: TableSnapshot, first: str, last: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the groups that have something in a stretch, named; those named otherwise before."""
    groups = pl.concat(
        [
            _read(found, first, last, None, _LIVE).select(_GROUP),
            _read([anomalies], first, last, None).select(_GROUP),
        ]
    ).unique()
    begin, end = hour_start(first), hour_start(last) + HOUR
    since, until = begin - LONGEST, end + LONGEST
    hours = sorted({hour for table in (*found, anomalies) for hour in hours_of(table)})
    while True:
        bounds = hour_key(since), hour_key(until)
        rows = _read(found, *bounds, groups, _LIVE)
        named = with_finding_ids(rows.with_columns(stage=pl.lit("live"))).drop("stage")
        before = _read([anomalies], *bounds, groups).select("anomaly_id", was="finding_id")
        differing = named.join(before, on="anomaly_id").filter(
            pl.col("finding_id") != pl.col("was")
        )
        earlier = _reaches_back(named, begin, since) and hours[0] < bounds[0]
        later = _goes_on(differing, until) and hours[-1] > bounds[1]
        if not (earlier or later):
            return named, differing
        since -= LONGEST * earlier
        until += LONGEST * later


def _reaches_back(named: pl.DataFrame, begin: datetime, since: datetime) -> bool:
    """Something that matters may overlap with what began before the rows that were read."""
    matter = named.filter(pl.col("ended_at") >= begin).select("finding_id").unique()
    starts = named.join(matter, on="finding_id", how="semi")["started_at"]
    return not starts.is_empty() and bool((starts < since + LONGEST).any())


def _goes_on(differing: pl.DataFrame, until: datetime) -> bool:
    """What has changed reaches the end of the rows that were read."""
    return bool((differing["ended_at"] >= until - LONGEST - timedelta(hours=1)).any())


def _read(
    tables: Sequence[TableSnapshot],
    first: str,
    last: str,
    groups: pl.DataFrame | None,
    where: pl.Expr | None = None,
) -> pl.DataFrame:
    """Rows of some hours of all of the tables."""
    inside = pl.col("event_hour").is_between(pl.lit(first), pl.lit(last))
    parts = []
    for table in tables:
        rows = table.scan(table.files if table.files.is_empty() else table.files.filter(inside))
        if where is not None:
            rows = rows.filter(where)
        parts.append(read_groups(rows.select(_COLUMNS), groups, _GROUP))
    return pl.concat(parts)
