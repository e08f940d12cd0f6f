"""Clocks of servers and vehicles."""

from __future__ import annotations

import time
from datetime import timedelta

import polars as pl

from fleet_assets.doctor.checks.clocks import ClockFacts
from fleet_assets.lake.ledger import RAW, damaged_hours
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.warehouse.connection import connect

_LEAST_MESSAGES = 20
_WINDOW = timedelta(minutes=10)
_MOST_ROWS = 1_000_000
_LEAST_ON_TIME = 0.5
_AHEAD = timedelta(seconds=2)


def postgres_skew(postgres_url: str) -> float:
    """Seconds that PostgreSQL's clock is ahead of this machine's; the way there is taken off.

    Raises:
        WarehouseError: PostgreSQL does not answer.
    """
    with connect(postgres_url) as connection:
        connection.execute("select 1")
        before = time.time()
        row = connection.execute("select extract(epoch from clock_timestamp())").fetchone()
        after = time.time()
    assert row is not None
    server = float(row[0])
    # within the time of the question nothing can be told
    return server - min(max(server, before), after)


def clock_facts(
    lake: Lake,
    postgres: float | None,
    newest_append: float | None,
    late_after: timedelta,
    now: float | None = None,
) -> ClockFacts:
    """Facts of all clocks.

    Args:
        lake: the lake.
        postgres: as of `postgres_skew`; None: not known.
        newest_append: append time (Unix time) of the newest message in Kafka; None: not known.
        late_after: a message this much older than its arrival is late.
        now: this machine's clock, Unix time.
    """
    now = time.time() if now is None else now
    ahead, behind = vehicle_skews(lake, late_after)
    return ClockFacts(
        postgres=postgres,
        kafka=None if newest_append is None else newest_append - now,
        future=refused_as_future(lake, now),
        ahead=ahead,
        behind=behind,
    )


def refused_as_future(lake: Lake, now: float) -> dict[str, int]:
    """Vehicle → messages that arrived within the last day and were refused as from the future."""
    raw = lake.find(RAW)
    if raw is None or raw.files.is_empty():
        return {}
    since = pl.lit(int((now - 86_400) * 1_000_000)).cast(pl.Datetime("us", "UTC"))
    rows = raw.read(
        columns=["vehicle_id"],
        where=(pl.col("reject_reason") == "future") & (pl.col("append_time") >= since),
        files_where=(pl.col("max.append_time") >= since) & _readable(raw),
    )
    counted = rows.with_columns(pl.col("vehicle_id").fill_null("(none)"))
    return dict(counted.group_by("vehicle_id").len().iter_rows())


def vehicle_skews(lake: Lake, late_after: timedelta) -> tuple[dict[str, float], dict[str, float]]:
    """Vehicles whose events lie ahead of, or far behind, their arrival in every message.

    Looks at what arrived in the newest ten minutes. Only where most vehicles are on time does
    being behind say something: a replay of old data is behind as a whole.

    Returns:
        Ahead and behind, each vehicle → seconds (median).
    """
    raw = lake.find(RAW)
    if raw is None or raw.files.is_empty():
        return {}, {}
    newest = raw.files["max.append_time"].max()
    files = raw.files.filter(pl.col("max.append_time") >= pl.lit(newest) - _WINDOW)
    if int(files["num_records"].sum()) > _MOST_ROWS:  # the newest files show as much
        files = files.sort("max.append_time", descending=True)
        files = files.filter(pl.col("num_records").cum_sum() <= _MOST_ROWS)
    rows = raw.read(
        columns=["vehicle_id", "event_time", "append_time"],
        where=pl.col("event_time").is_not_null()
        & pl.col("vehicle_id").is_not_null()
        & (pl.col("append_time") >= pl.lit(newest) - _WINDOW),
        files_where=pl.col("path").is_in(files["path"].to_list()) & _readable(raw),
    )
    delay = (pl.col("append_time") - pl.col("event_time")).dt.total_microseconds() / 1e6
    by_vehicle = (
        rows.group_by("vehicle_id")
        .agg(
            messages=pl.len(),
            least=delay.min(),
            most=delay.max(),
            median=delay.median(),
        )
        .filter(pl.col("messages") >= _LEAST_MESSAGES)
    )
    if by_vehicle.is_empty():
        return {}, {}
    ahead = by_vehicle.filter(pl.col("most") < -_AHEAD.total_seconds())
    late = pl.col("least") > late_after.total_seconds()
    behind = by_vehicle.filter(late)
    mostly_on_time = behind.height <= by_vehicle.height * (1 - _LEAST_ON_TIME)
    return (
        {v: -s for v, s in ahead.select("vehicle_id", "median").iter_rows()},
        dict(behind.select("vehicle_id", "median").iter_rows()) if mostly_on_time else {},
    )


def _readable(raw: TableSnapshot) -> pl.Expr:
    """Files of hours that are not damaged; that they are is another finding."""
    return ~pl.col("event_hour").is_in(list(damaged_hours(raw)))
