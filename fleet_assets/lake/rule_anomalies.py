"""`rule_anomalies`: segments joined over the edges of hours, kept in line hour by hour.

What an hour's segments mean for anomalies that began in other hours is worked out when its segments
have changed; only the hours of onset in which something differs are written, all in one commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_findings import rule_anomalies
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.chains import Chains, Gathered, gather
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import rows_id
from fleet_assets.lake.segments import SEGMENTS, found_id, pieces_in, seen_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.rules.book import RuleBook
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.hours import contiguous_ranges, hour_key, hour_start

RULE_ANOMALIES: Final = "rule_anomalies"
_GROUP: Final = ("vehicle_id", "anomaly_type")
_ANY: Final = "stitch"
"""Raised by every commit, so that no two can have been worked out side by side."""
_LONGEST: Final = timedelta(days=8)
"""An anomaly and the silence that it survives are no longer."""


def stitched_id(event_hour: str) -> str:
    """Number of the hour's segments whose meaning for all anomalies has been worked out."""
    return f"stitched/{event_hour}"


@dataclass(frozen=True)
class Stitched:
    """What became of some hours of segments.

    Attributes:
        rows: rows of each hour of onset that was written.
        verdicts: of the hours that were written.
    """

    rows: Mapping[str, int]
    verdicts: Mapping[str, Verdict]


def hours_to_stitch(lake: Lake) -> list[str]:
    """Hours whose segments have changed since their meaning was worked out, in order."""
    segments = lake.find(SEGMENTS)
    if segments is None:
        return []
    anomalies = lake.find(RULE_ANOMALIES)
    done = {} if anomalies is None else all_marks(anomalies.delta)
    prefix = found_id("")
    return sorted(
        hour
        for name, number in all_marks(segments.delta).items()
        if name.startswith(prefix)
        and done.get(stitched_id(hour := name.removeprefix(prefix))) != number
    )


def stitch_hours(lake: Lake, event_hours: Sequence[str], book: RuleBook) -> Stitched:
    """Brings `rule_anomalies` in line with the segments of some hours.

    Args:
        lake: the lake.
        event_hours: keys of the hours whose segments have changed.
        book: the rules.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> Stitched:
        anomalies = lake.open(RULE_ANOMALIES)  # first: segments are then at least as new
        segments = lake.open(SEGMENTS)
        marks = all_marks(segments.delta)
        horizon = _horizon(marks)
        changed = _changed(anomalies, segments, sorted(set(event_hours)), book, horizon)
        verdicts = {hour: validate(RULE_ANOMALIES, rows, hour) for hour, rows in changed.items()}
        failed = [verdict for verdict in verdicts.values() if not verdict.passed]
        if failed:
            raise InvalidHourError(failed)
        progress = {stitched_id(hour): marks.get(found_id(hour), 0) for hour in event_hours}
        progress |= {rows_id(h): (anomalies.committed(rows_id(h)) or 0) + 1 for h in changed}
        progress[_ANY] = (anomalies.committed(_ANY) or 0) + 1
        fault_point("anomalies.before_stitched")
        anomalies.commit_files(
            {hour: [rows] for hour, rows in changed.items()},
            anomalies.files_of(list(changed)),
            progress,
        )
        fault_point("anomalies.stitched")
        return Stitched({hour: rows.height for hour, rows in changed.items()}, verdicts)

    return retrying("rule_anomalies", attempt)


def _changed(
    anomalies: TableSnapshot,
    segments: TableSnapshot,
    event_hours: Sequence[str],
    book: RuleBook,
    horizon: datetime,
) -> dict[str, pl.DataFrame]:
    """Rows of the hours of onset that differ from what is there."""
    chains = _chains(segments, book)
    made = [TABLE_BY_NAME[RULE_ANOMALIES].polars_schema.to_frame()]
    covered = []
    for first, last in contiguous_ranges(event_hours, len(event_hours)):
        gathered = gather(chains, first, last, _seeds(anomalies, first, last))
        covered.append(gathered.covered)
        made.append(_made(gathered, book, horizon))
    rows = pl.concat(made).unique("anomaly_id", maintain_order=True)
    cover = pl.concat(covered)
    files = pl.concat([_files_of(anomalies, cover), _files_with_open(anomalies)]).unique("path")
    before = anomalies.read_files(files)
    replaced = (
        before.select("anomaly_id", "event_hour", *_GROUP)
        .join(cover, on=_GROUP)
        .filter(pl.col("event_hour").is_between("first", "last"))
    )
    silenced = (pl.col("state") == "open") & (pl.col("closes_at") < horizon)
    kept = before.join(replaced, on="anomaly_id", how="anti").with_columns(
        state=pl.when(silenced).then(pl.lit("closed")).otherwise("state")
    )
    after = pl.concat([kept, rows]).unique("anomaly_id", keep="last")
    return _differing(before, after, anomalies)


def _differing(
    before: pl.DataFrame, after: pl.DataFrame, anomalies: TableSnapshot
) -> dict[str, pl.DataFrame]:
    changed = set(before.join(after, on=before.columns, how="anti", nulls_equal=True)["event_hour"])
    changed |= set(
        after.join(before, on=before.columns, how="anti", nulls_equal=True)["event_hour"]
    )
    found = {}
    for hour in sorted(changed):
        # of an hour that only holds something open, not all was read
        mine = anomalies.read(hour)
        untouched = mine.join(before, on="anomaly_id", how="anti")
        new = after.filter(pl.col("event_hour") == hour)
        found[hour] = pl.concat([untouched, new]).sort("vehicle_id", "condition", "started_at")
    return found


def _made(gathered: Gathered, book: RuleBook, horizon: datetime) -> pl.DataFrame:
    signals = gathered.rows.filter(pl.col("part") == "run").select(
        "vehicle_id", "started_at", "signals"
    )
    return rule_anomalies(pieces_in(gathered.rows), signals, book, horizon)


def _chains(segments: TableSnapshot, book: RuleBook) -> Chains:
    rules = [rule for catalogue in book.catalogues for rule in catalogue.rules]
    types = {rule.id: rule.type for rule in rules}
    windows = {
        rule.repeats: timedelta(seconds=rule.parameters["window_s"].value or 0)
        for rule in rules
        if rule.repeats is not None
    }
    rule_of = pl.col("condition").str.slice(0, 3)
    hours = [] if segments.files.is_empty() else sorted(segments.files["event_hour"].unique())

    def read(some: Sequence[str], groups: pl.DataFrame | None) -> pl.DataFrame:
        rows = segments.scan(segments.files_of(some)).with_columns(
            anomaly_type=rule_of.replace_strict(types, default=None, return_dtype=pl.String),
            # how far beyond its ends it may be joined with something
            reach=pl.max_horizontal(
                pl.duration(microseconds=(pl.col("max_gap_seconds") * 1e6).cast(pl.Int64)),
                rule_of.replace_strict(windows, default=None, return_dtype=pl.Duration("us")),
            ),
            repeats=rule_of.is_in(list(windows)),
        )
        if groups is not None:
            rows = rows.join(groups.lazy(), on=list(_GROUP), how="semi")
        return rows.collect(engine="streaming")

    return Chains(_GROUP, hours, read, _before, _after)


def _before(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    first = rows.sort("started_at").group_by("vehicle_id", "condition", maintain_order=True).first()
    joins = pl.col("repeats") | (pl.col("at_left") & (pl.col("part") != "mark"))
    return first.filter(joins & (pl.col("started_at") - pl.col("reach") < moment)).select(_GROUP)


def _after(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    last = rows.sort("started_at").group_by("vehicle_id", "condition", maintain_order=True).last()
    joins = pl.col("repeats") | (pl.col("ended_by") == "edge")
    return last.filter(joins & (pl.col("ended_at") + pl.col("reach") >= moment)).select(_GROUP)


def _seeds(anomalies: TableSnapshot, first: str, last: str) -> pl.DataFrame:
    """Groups that have an anomaly in these hours now, with the hours that it spans."""
    start = hour_start(first)
    around = pl.DataFrame({"first": [hour_key(start - _LONGEST)], "last": [last]})
    files = _files_of(anomalies, around)
    files = (
        files.filter((pl.col("max.closes_at") >= start).fill_null(True)) if files.height else files
    )
    rows = anomalies.read_files(files, [*_GROUP, "started_at", "ended_at", "closes_at"])
    return rows.filter(pl.col("closes_at") >= start).select(
        *_GROUP,
        first=pl.col("started_at").dt.strftime("%Y-%m-%dT%H"),
        last=pl.col("ended_at").dt.strftime("%Y-%m-%dT%H"),
    )


def _files_of(table: TableSnapshot, cover: pl.DataFrame) -> pl.DataFrame:
    """Files of the hours that any group covers."""
    spans = cover.select("first", "last").unique()
    hours = table.files.select("event_hour").unique() if table.files.height else None
    if hours is None:
        return table.files
    inside = hours.join_where(
        spans, pl.col("event_hour") >= pl.col("first"), pl.col("event_hour") <= pl.col("last")
    )
    return table.files_of(inside["event_hour"].unique())


def _files_with_open(table: TableSnapshot) -> pl.DataFrame:
    if table.files.is_empty():
        return table.files
    return table.files.filter((pl.col("max.state") >= "open").fill_null(True))


def _horizon(marks: Mapping[str, int]) -> datetime:
    """Newest event that any hour's segments were made from."""
    prefix = seen_id("")
    newest = max((number for name, number in marks.items() if name.startswith(prefix)), default=0)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
