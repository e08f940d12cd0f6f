"""`segments`: what the rules find in an hour, brought in line with its telemetry.

The commit to `segments` is the truth; `rule_eligibility` is written before it, with the same marks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import polars as pl

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.episodes.stitch import PIECE_SCHEMA
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.by_onset import found_id, seen_id
from fleet_assets.lake.follow import hours_behind, telemetry_marks
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.sealed import frozen_in, is_frozen
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.usual_intervals import UNKNOWN_S, intervals_by
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.rules.book import LOOK_BACK, RuleBook
from fleet_assets.rules.detect import pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.eligibility import ineligible
from fleet_assets.rules.resolve import resolve
from fleet_assets.rules.samples import samples_of
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.hours import hour_start

SEGMENTS: Final = "segments"
ELIGIBILITY: Final = "rule_eligibility"
CODES: Final = "vehicle_codes"
WANTED: Final = [s.name for s in SIGNALS if s.kind in ("number", "boolean")]
_NULLS: Final = r'"[a-z_]+":null,?'


def rules_id(event_hour: str) -> str:
    """Fingerprint of the rules and of what they know of the hour's vehicles."""
    return f"rules/{event_hour}"


def pins_id(event_hour: str) -> str:
    """Fingerprint of the usual intervals that the hour's vehicles are judged by."""
    return f"pins/{event_hour}"


@dataclass(frozen=True)
class SegmentsRefreshed:
    """What became of one hour.

    Attributes:
        verdicts: the checks that ran before the commits; none if it was in line already.
        by_rules: the rules that it was judged by before have changed.
    """

    event_hour: str
    processed_version: int
    rows: int
    verdicts: tuple[Verdict, ...] = ()
    by_rules: bool = False


def refresh_segments(
    lake: Lake,
    event_hour: str,
    book: RuleBook,
    *,
    force: bool = False,
    repin: bool = False,
    most_rows: int = PART_ROWS,
) -> SegmentsRefreshed:
    """Brings an hour's segments in line with its telemetry, the ten minutes before, and the rules.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        book: the rules.
        force: make them anew even if nothing has changed.
        repin: find the usual intervals of the vehicles anew instead of keeping those that the hour
            was judged by first.
        most_rows: about how many rows of telemetry are held at a time.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> SegmentsRefreshed:
        telemetry, states = lake.open("telemetry"), lake.open("vehicle_hour_states")
        eligibility, codes = lake.open(ELIGIBILITY), lake.open(CODES)
        segments = lake.open(SEGMENTS)
        marks = telemetry_marks(telemetry.committed, event_hour)
        version = marks[app_id(event_hour)]
        if is_frozen(telemetry, event_hour):
            return SegmentsRefreshed(event_hour, version, _height(segments, event_hour))
        known = eligibility.read(event_hour)
        in_line = all(segments.committed(name) == mark for name, mark in marks.items())
        print_ = book.fingerprint(event_hour, known["vehicle_id"])
        by_rules = eligibility.committed(rules_id(event_hour)) not in (None, print_)
        if in_line and not (force or repin) and segments.committed(rules_id(event_hour)) == print_:
            return SegmentsRefreshed(event_hour, version, _height(segments, event_hour))
        pinned = known.clear() if repin else known
        pins = dict(pinned.select("vehicle_id", "usual_interval_seconds").iter_rows())
        made = _judged(telemetry, states, event_hour, book, pins, most_rows)
        verdicts = (
            validate(ELIGIBILITY, made.eligibility, event_hour),
            validate(CODES, made.codes, event_hour),
            validate(SEGMENTS, made.segments, event_hour),
        )
        if not all(verdict.passed for verdict in verdicts):
            raise InvalidHourError(list(verdicts))
        marks |= {
            rules_id(event_hour): book.fingerprint(event_hour, made.eligibility["vehicle_id"]),
            seen_id(event_hour): made.newest_us,
            pins_id(event_hour): _fingerprint(made.eligibility),
            found_id(event_hour): (segments.committed(found_id(event_hour)) or 0) + 1,
        }
        fault_point("segments.before_write")
        _replace(eligibility, event_hour, made.eligibility, marks)
        fault_point("segments.eligibility_committed")
        _replace(codes, event_hour, made.codes, marks)
        fault_point("segments.codes_committed")
        _replace(segments, event_hour, made.segments, marks)
        fault_point("segments.committed")
        return SegmentsRefreshed(event_hour, version, made.segments.height, verdicts, by_rules)

    return retrying(f"segments of {event_hour}", attempt)


def hours_to_judge(lake: Lake) -> list[str]:
    """Hours whose segments are not in line with telemetry, in order."""
    return hours_behind(lake, SEGMENTS)


def hours_judged_otherwise(lake: Lake, book: RuleBook) -> list[str]:
    """Hours that were judged by other rules, or other numbers, than are in force for them."""
    eligibility, segments = lake.find(ELIGIBILITY), lake.find(SEGMENTS)
    if eligibility is None or segments is None or eligibility.files.is_empty():
        return []
    made = all_marks(segments.delta)
    frozen = frozen_in(lake)
    rows = eligibility.scan(eligibility.files).select("event_hour", "vehicle_id").collect()
    return sorted(
        str(hour)
        for (hour,), mine in rows.group_by("event_hour")
        if hour not in frozen
        and made.get(rules_id(str(hour))) != book.fingerprint(str(hour), mine["vehicle_id"])
    )


def pieces_in(segments: pl.DataFrame) -> pl.DataFrame:
    """Rows of `segments` as pieces: rows of PIECE_SCHEMA."""
    limits = {
        name: pl.duration(microseconds=(pl.col(f"{name}_seconds") * 1e6).round().cast(pl.Int64))
        for name in ("max_gap", "min_duration")
    }
    return segments.with_columns(**limits).select(
        pl.col(name).cast(kind) for name, kind in PIECE_SCHEMA.items()
    )


@dataclass(frozen=True)
class _Judged:
    segments: pl.DataFrame
    eligibility: pl.DataFrame
    codes: pl.DataFrame
    newest_us: int


def _judged(
    telemetry: TableSnapshot,
    states: TableSnapshot,
    event_hour: str,
    book: RuleBook,
    pins: dict[str, float],
    most_rows: int,
) -> _Judged:
    start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
    catalogue = book.catalogue(event_hour)
    found = [_segment_rows(PIECE_SCHEMA.to_frame(), None, event_hour)]
    eligible = [TABLE_BY_NAME[ELIGIBILITY].polars_schema.to_frame()]
    codes = [TABLE_BY_NAME[CODES].polars_schema.to_frame()]
    by_code = [rule.id for rule in catalogue.rules if rule.by_code]
    newest_us = start_us
    for rows in vehicle_parts(
        telemetry,
        event_hour,
        WANTED,
        as_they_are=["dtc"],
        context=LOOK_BACK,
        most_rows=most_rows,
    ):
        samples = samples_of(rows, WANTED, start_us)
        intervals = intervals_by(states, event_hour, samples.vehicle_ids, pins)
        known = book.known(event_hour, intervals)
        limits = resolve(catalogue, samples, known)
        pieces = pieces_of(samples, limits, DETECTORS)
        found.append(_segment_rows(pieces, rows, event_hour))
        codes.append(_code_rows(rows, event_hour))
        silent = set(samples.vehicle_ids) - set(codes[-1]["vehicle_id"])
        reasons = ineligible(samples, limits, dict.fromkeys(by_code, silent))
        eligible.append(_eligibility_rows(reasons, intervals, event_hour))
        newest_us = max(newest_us, int(samples.time_us.max()))
        fault_point("segments.mid_read")
    segments = pl.concat(found).sort("vehicle_id", "condition", "started_at")
    return _Judged(
        segments,
        pl.concat(eligible).sort("vehicle_id"),
        pl.concat(codes).sort("vehicle_id", "code"),
        newest_us,
    )


def _segment_rows(
    pieces: pl.DataFrame, telemetry: pl.DataFrame | None, event_hour: str
) -> pl.DataFrame:
    """Pieces as rows of `segments`, with the signals at the first sample of each run."""
    seconds = {
        f"{name}_seconds": pl.col(name).dt.total_microseconds() / 1e6
        for name in ("max_gap", "min_duration")
    }
    rows = pieces.with_columns(event_hour=pl.lit(event_hour), **seconds)
    if telemetry is None or pieces.is_empty():
        rows = rows.with_columns(signals=pl.lit(None, dtype=pl.String))
    else:
        onsets = pieces.filter(pl.col("part") == "run").select("vehicle_id", "started_at").unique()
        at_onset = telemetry.join(
            onsets, left_on=["vehicle_id", "event_time"], right_on=["vehicle_id", "started_at"]
        ).select("vehicle_id", started_at="event_time", signals=_json(WANTED))
        rows = rows.join(at_onset, on=["vehicle_id", "started_at"], how="left").with_columns(
            signals=pl.when(pl.col("part") == "run").then("signals")
        )
    return rows.select(
        pl.col(name).cast(kind) for name, kind in TABLE_BY_NAME[SEGMENTS].polars_schema.items()
    )


def _code_rows(telemetry: pl.DataFrame, event_hour: str) -> pl.DataFrame:
    """Rows of `vehicle_codes`."""
    told = telemetry.filter(
        pl.col("dtc").is_not_null()
        & ~pl.col("conflict")
        & (pl.col("event_time") >= hour_start(event_hour))
    ).select("vehicle_id", "event_time", "dtc")
    named = told.explode("dtc").drop_nulls("dtc")
    either = pl.concat(
        [named, told.with_columns(dtc=pl.lit(None, dtype=pl.String))], how="vertical"
    )
    return (
        either.group_by("vehicle_id", code="dtc")
        .agg(first_seen=pl.col("event_time").min(), last_seen=pl.col("event_time").max())
        .with_columns(event_hour=pl.lit(event_hour))
        .select(pl.col(n).cast(kind) for n, kind in TABLE_BY_NAME[CODES].polars_schema.items())
    )


def _json(names: Iterable[str]) -> pl.Expr:
    """An object of the values that are known."""
    text = pl.struct(names).struct.json_encode()
    return text.str.replace_all(_NULLS, "").str.replace(",}", "}", literal=True)


def _eligibility_rows(
    reasons: pl.DataFrame, intervals: dict[str, float], event_hour: str
) -> pl.DataFrame:
    interval = pl.col("vehicle_id").replace_strict(
        intervals, default=UNKNOWN_S, return_dtype=pl.Float64
    )
    return reasons.with_columns(
        event_hour=pl.lit(event_hour), usual_interval_seconds=interval
    ).select(TABLE_BY_NAME[ELIGIBILITY].names)


def _fingerprint(eligibility: pl.DataFrame) -> int:
    pins = eligibility.select("vehicle_id", "usual_interval_seconds").sort("vehicle_id")
    return int.from_bytes(sha256(pins.write_csv().encode()).digest()[:6])


def _replace(
    table: TableSnapshot, event_hour: str, rows: pl.DataFrame, marks: dict[str, int]
) -> None:
    table.commit_files({event_hour: [rows]}, table.files_of([event_hour]), marks)


def _height(table: TableSnapshot, event_hour: str) -> int:
    files = table.files_of([event_hour])
    return 0 if files.is_empty() else int(files["num_records"].sum())
