"""Which raw messages of an hour are to be taken in, and reading exactly those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from fleet_assets.lake.store import TableSnapshot

_FIRST, _LAST = pl.col("min.landing_version"), pl.col("max.landing_version")


@dataclass(frozen=True)
class Span:
    """Versions of `raw_telemetry` after `since` and up to `upto`."""

    since: int
    upto: int


def newest_raw_versions(raw: TableSnapshot) -> dict[str, int]:
    """Per hour the newest version of `raw_telemetry` that brought messages into it."""
    if raw.files.is_empty():
        return {}
    return dict(raw.files.group_by("event_hour").agg(_LAST.max()).iter_rows())


def messages(
    raw: TableSnapshot, spans: Mapping[str, Span], where: pl.Expr | None = None
) -> pl.DataFrame:
    """Messages that the versions of a span have brought into its hour.

    Args:
        raw: snapshot of `raw_telemetry`.
        spans: by hour.
        where: only rows that fulfil this.
    """
    wanted = pl.DataFrame(
        [(hour, span.since, span.upto) for hour, span in spans.items()],
        schema={"event_hour": pl.String, "since": pl.Int64, "upto": pl.Int64},
        orient="row",
    )
    if raw.files.is_empty():
        return raw.read_files(raw.files)
    touched = raw.files.join(wanted, on="event_hour").filter(
        (pl.col("since") < _LAST) & (pl.col("upto") >= _FIRST)
    )
    found = raw.read_files(touched, where=where)
    if touched.filter((pl.col("since") >= _FIRST) | (pl.col("upto") < _LAST)).is_empty():
        return found  # the usual case: no file holds other versions too
    version = pl.col("landing_version")
    return (
        found.join(wanted, on="event_hour", maintain_order="left")
        .filter((version > pl.col("since")) & (version <= pl.col("upto")))
        .drop("since", "upto")
    )


def step_end(raw: TableSnapshot, event_hour: str, since: int, newest: int, most: int) -> int:
    """Version up to which one step goes, so that a backlog does not have to fit in memory.

    Args:
        raw: snapshot of `raw_telemetry`.
        event_hour: key of the hour.
        since: version that is included already.
        newest: version to arrive at in the end.
        most: messages of a step; one landing is never divided.
    """
    if raw.files.is_empty():
        return newest
    files = raw.files.filter((pl.col("event_hour") == event_hour) & (since < _LAST))
    by_version = (
        files.group_by(version=_LAST)
        .agg(pl.col("num_records").sum())
        .sort("version")
        .with_columns(so_far=pl.col("num_records").cum_sum())
    )
    within = by_version.filter(pl.col("so_far") <= most)["version"]
    if by_version.is_empty() or within.len() == by_version.height:
        return newest
    return int(within[-1] if within.len() else by_version["version"][0])
