"""`model_segments`: what the models find in an hour, in line with its windows and the audit.

The commit to `model_segments` is the truth; `model_hours` is written before it, with the same
marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.by_onset import found_id, seen_id
from fleet_assets.lake.feature_windows import FEATURE_WINDOWS
from fleet_assets.lake.follow import context_id
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, by_hour, rows_id
from fleet_assets.lake.model_marks import MODEL_HOURS, MODEL_SEGMENTS, models_id, windows_id
from fleet_assets.lake.sealed import frozen_in, is_frozen
from fleet_assets.lake.segments import ELIGIBILITY, pins_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.models.frame import model_frame
from fleet_assets.models.steps import SIGNALS, steps_of
from fleet_assets.scoring.book import ModelBook
from fleet_assets.scoring.pieces import (
    MODEL_PIECE_SCHEMA,
    TELEMETRY_BEFORE,
    WINDOWS_BEFORE,
    added_up,
    model_pieces,
    tally,
    unscored,
)
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.hours import HOUR, hour_key, hour_start

_BYTES: Final = 6
"""Of a fingerprint: it has to fit into the version of a Delta transaction."""


@dataclass(frozen=True)
class HourScored:
    """What became of one hour.

    Attributes:
        verdicts: the checks that ran before the commits; none if it was in line already.
    """

    event_hour: str
    processed_version: int
    rows: int
    verdicts: tuple[Verdict, ...] = ()


def hours_to_score(lake: Lake, book: ModelBook, *, compare_models: bool = True) -> list[str]:
    """Hours that are not judged from the windows that there are, or by other models, in order.

    Hours that no model serves are left out, unless they were judged before. Marks tell, and of
    vehicles what the rules have noted: no window is read.

    Args:
        lake: the lake.
        book: the models.
        compare_models: look at the models that hours were judged by, too.
    """
    windows = lake.find(FEATURE_WINDOWS)
    if windows is None or not book.audit:
        return []
    made = lake.find(MODEL_SEGMENTS)
    truth = all_marks(windows.delta)
    done = {} if made is None else all_marks(made.delta)
    first = min(row.valid_from for row in book.audit)
    known = [
        hour
        for hour in sorted(by_hour(truth, app_id))
        if done.get(models_id(hour)) or hour_start(hour) + HOUR > first
    ]
    asked = [hour for hour in known if compare_models or models_id(hour) not in done]
    vehicles = _vehicles(lake, asked)
    wanted = {hour: book.fingerprint(hour, vehicles.get(hour, ())) for hour in asked}

    def is_stale(hour: str) -> bool:
        judged = done.get(models_id(hour))
        if judged is None:
            return bool(wanted[hour])
        moved = done.get(windows_id(hour)) != windows_print(truth, hour)
        return moved or wanted.get(hour, judged) != judged

    frozen = frozen_in(lake)
    return [hour for hour in known if hour not in frozen and is_stale(hour)]


def windows_print(marks: Mapping[str, int], event_hour: str) -> int:
    """Changes with the windows of an hour and of the one before, which it looks back into."""
    before = hour_key(hour_start(event_hour) - HOUR)
    told = [
        marks.get(name(hour))
        for hour in (event_hour, before)
        for name in (app_id, rows_id, context_id, pins_id)
    ]
    return int.from_bytes(sha256(str(told).encode()).digest()[:_BYTES])


def refresh_model_segments(
    lake: Lake,
    event_hour: str,
    book: ModelBook,
    *,
    force: bool = False,
    most_rows: int = PART_ROWS,
) -> HourScored:
    """Brings what the models find in an hour in line with its windows and the models.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        book: the models.
        force: judge it anew even if nothing has changed.
        most_rows: about how many rows of telemetry are held at a time.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> HourScored:
        segments, tallies = lake.open(MODEL_SEGMENTS), lake.open(MODEL_HOURS)
        windows = lake.open(FEATURE_WINDOWS)
        telemetry = lake.open("telemetry")  # last: at least as new as the windows
        truth = all_marks(windows.delta)
        version = truth.get(app_id(event_hour), -1)
        ids = _vehicles(lake, [event_hour]).get(event_hour, [])
        marks = {
            models_id(event_hour): book.fingerprint(event_hour, ids),
            windows_id(event_hour): windows_print(truth, event_hour),
        }
        files = segments.files_of([event_hour])
        in_line = all(segments.committed(name) == mark for name, mark in marks.items())
        if is_frozen(telemetry, event_hour) or (not force and in_line):
            return HourScored(event_hour, version, int(files["num_records"].sum() or 0))
        judged = list(_judged(windows, telemetry, event_hour, book, ids, most_rows))
        rows = _rows(MODEL_SEGMENTS, [pieces for pieces, _ in judged], event_hour)
        told = _rows(MODEL_HOURS, [added_up([tallied for _, tallied in judged])], event_hour)
        verdicts = (
            validate(MODEL_HOURS, told, event_hour), validate(MODEL_SEGMENTS, rows, event_hour)
        )  # fmt: skip
        if not all(verdict.passed for verdict in verdicts):
            raise InvalidHourError(list(verdicts))
        for name in (app_id, rows_id, context_id):
            marks[name(event_hour)] = truth.get(name(event_hour), 0)
        newest = _newest_us(windows, event_hour)
        marks |= {
            seen_id(event_hour): newest,
            found_id(event_hour): (segments.committed(found_id(event_hour)) or 0) + 1,
        }
        fault_point("model_segments.before_write")
        tallies.commit_files({event_hour: [told]}, tallies.files_of([event_hour]), marks)
        fault_point("model_segments.hours_committed")
        segments.commit_files({event_hour: [rows]}, files, marks)
        fault_point("model_segments.committed")
        return HourScored(event_hour, version, rows.height, verdicts)

    return retrying(f"model segments of {event_hour}", attempt)


def model_pieces_in(segments: pl.DataFrame) -> pl.DataFrame:
    """Rows of `model_segments` as pieces: rows of MODEL_PIECE_SCHEMA."""
    limits = {
        name: pl.duration(microseconds=(pl.col(f"{name}_seconds") * 1e6).round().cast(pl.Int64))
        for name in ("max_gap", "min_duration")
    }
    return segments.with_columns(**limits).select(
        pl.col(name).cast(kind) for name, kind in MODEL_PIECE_SCHEMA.items()
    )


def _judged(
    windows: TableSnapshot,
    telemetry: TableSnapshot,
    event_hour: str,
    book: ModelBook,
    ids: list[str],
    most_rows: int,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pieces and tallies, model by model, some vehicles at a time.

    A model on trial that cannot be read costs only its own scores.
    """
    start = hour_start(event_hour)
    assigned = book.assigned(event_hour, ids)
    if assigned.is_empty():
        return
    near = windows.files_of([hour_key(start - HOUR), event_hour])
    for rows in vehicle_parts(
        telemetry, event_hour, SIGNALS, context=TELEMETRY_BEFORE, most_rows=most_rows
    ):
        mine = assigned.join(rows.select("vehicle_id").unique(), on="vehicle_id", how="semi")
        bounds = pl.lit(rows["vehicle_id"][0]), pl.lit(rows["vehicle_id"][-1])
        wanted = (pl.col("window_end") > start - WINDOWS_BEFORE) & pl.col("vehicle_id").is_between(
            *bounds
        )
        found = windows.read_files(near, where=wanted).sort("vehicle_id", "window_end")
        frame = model_frame(found, steps_of(rows))
        for (model_id,), of_model in mine.group_by("model_id", maintain_order=True):
            part = frame.join(
                of_model.select("vehicle_id"), on="vehicle_id", how="semi", maintain_order="left"
            )
            if part.is_empty():
                continue
            who = part["vehicle_id"].unique().to_list()
            try:
                model = book.load(str(model_id), event_hour[:10], who)
            except FleetError:
                if "live" in of_model["stage"]:
                    raise
                yield MODEL_PIECE_SCHEMA.to_frame(), tally(unscored(part), of_model, start)
                continue
            scores = model.judged(part)
            pieces = model_pieces(scores, part, rows, model, start)
            named = pieces.drop("condition").join(
                of_model.select("vehicle_id", condition=pl.format("{}/{}", "stage", "model_id")),
                on="vehicle_id",
            )
            yield named.select(MODEL_PIECE_SCHEMA.names()), tally(scores, of_model, start)
        fault_point("model_segments.mid_read")


def _rows(table: str, found: list[pl.DataFrame], event_hour: str) -> pl.DataFrame:
    """Rows of a table's contract."""
    columns = TABLE_BY_NAME[table].polars_schema
    if not found:
        return columns.to_frame()
    rows = pl.concat(found).with_columns(event_hour=pl.lit(event_hour))
    if "max_gap" in rows.columns:
        rows = rows.with_columns(
            (pl.col(name).dt.total_microseconds() / 1e6).alias(f"{name}_seconds")
            for name in ("max_gap", "min_duration")
        )
    made = rows.select(pl.col(name).cast(kind) for name, kind in columns.items())
    return made.sort(TABLE_BY_NAME[table].key)


def _vehicles(lake: Lake, hours: Sequence[str]) -> dict[str, list[str]]:
    """Vehicles of hours, as the rules have noted them before there were windows."""
    eligibility = lake.find(ELIGIBILITY)
    if eligibility is None or not hours:
        return {}
    rows = eligibility.read_files(eligibility.files_of(hours), ["event_hour", "vehicle_id"])
    by_hours = rows.group_by("event_hour").agg(pl.col("vehicle_id").unique().sort())
    return dict(by_hours.iter_rows())


def _newest_us(windows: TableSnapshot, event_hour: str) -> int:
    newest = windows.read(event_hour, ["window_end"])["window_end"].max()
    start = int(hour_start(event_hour).timestamp()) * 1_000_000
    return start if newest is None else int(newest.timestamp() * 1_000_000)  # type: ignore[union-attr]
