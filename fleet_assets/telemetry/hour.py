"""Hours of telemetry as a function of their messages: all at once, or step by step.

Law: stepping through the messages in any batches ends in what one step with all of them gives.
Messages of several hours may share a step; a key (vehicle and time) lies in one hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from fleet_assets.contracts.tables import RAW_TELEMETRY, TELEMETRY, TELEMETRY_REJECTS
from fleet_assets.telemetry.contest import contest_of_messages, contest_of_rows
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.resolve import (
    CONFLICTING,
    DUPLICATE,
    KEY,
    canonical_hash,
    conflict_rejects,
    resolve,
)

DECODE_BATCH = 400_000
UNKNOWN_VEHICLE = "unknown_vehicle"
_TRACE = ["landing_version", "kafka_topic_id", "kafka_partition", "kafka_offset"]
_CARRIED = ["offset_start", "offset_end", "append_time", "key", "value", "replay_of"]

Lookup = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives rows for a frame of keys."""


def _no_rows(_: pl.DataFrame) -> pl.DataFrame:
    return TELEMETRY.polars_schema.to_frame()


def _no_messages(_: pl.DataFrame) -> pl.DataFrame:
    return RAW_TELEMETRY.polars_schema.to_frame()


def _no_rejects(_: pl.DataFrame) -> pl.DataFrame:
    return TELEMETRY_REJECTS.polars_schema.to_frame()


@dataclass(frozen=True)
class Base:
    """What the hours hold before a step, as far as the step asks; by default nothing.

    Attributes:
        present_rows: rows of `telemetry` for a frame of keys.
        earlier_messages: raw rows taken in before, for a frame of keys; without those that were
            refused for their vehicle, whether they come back with this step or a later one.
        conflict_rejects: rejects as conflicting duplicates, for a frame of keys.
        expired_hours: hours whose raw rows are gone; rows and rejects stand for them.
    """

    present_rows: Lookup = _no_rows
    earlier_messages: Lookup = _no_messages
    conflict_rejects: Lookup = _no_rejects
    expired_hours: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HourStep:
    """What a set of new messages changes.

    Attributes:
        telemetry_added: rows to add, in order of arrival (upkeep sorts the files of closed hours).
        contested: keys (vehicle_id, event_time) whose present row, and whose rejects as
            conflicting duplicates, must be removed first.
        rejects_added: rows of `telemetry_rejects` to add.
        verdicts: messages with `verdict` and `weight`: +1 counts, −1 takes back an earlier count.
    """

    telemetry_added: pl.DataFrame
    contested: pl.DataFrame
    rejects_added: pl.DataFrame
    verdicts: pl.DataFrame = field(repr=False)


def step(
    new: pl.DataFrame,
    known_vehicles: frozenset[str],
    base: Base | None = None,
    readmitted: pl.DataFrame | None = None,
) -> HourStep:
    """Takes messages in.

    Args:
        new: rows of `raw_telemetry` that were not taken in before.
        known_vehicles: ids of all registered vehicles.
        base: what the hours hold; nothing if not given, which makes a rebuild.
        readmitted: messages that were refused for their vehicle, which is registered by now. Their
            rejects must be removed.

    Returns:
        The change. Nothing is kept between calls.
    """
    base = base or Base()
    back = new.clear() if readmitted is None else readmitted
    decoded, refused = _decode_all(pl.concat([new, back]), known_vehicles)
    resolved = resolve(decoded)
    counted = [weighted(refused.rename({"reason": "verdict"}), 1), _taken_back(back)]
    present = base.present_rows(resolved.kept.select(KEY))
    if present.is_empty():
        return _change(
            resolved.kept,
            present.select(KEY),
            [refused, conflict_rejects(resolved.verdicts)],
            [*counted, weighted(resolved.verdicts, 1)],
        )

    contested = _contested(present, decoded)
    plain = _repeats_are_duplicates(resolved.verdicts, present, contested)
    added = [resolved.kept.join(present.select(KEY), on=KEY, how="anti")]
    counted.append(weighted(plain, 1))
    rejects = [refused, conflict_rejects(plain)]
    mine = decoded.join(contested, on=KEY, how="semi")
    lost = mine["event_hour"].is_in(list(base.expired_hours))
    for messages, without_raw in ((mine.filter(~lost), False), (mine.filter(lost), True)):
        if messages.is_empty():
            continue
        keys = messages.select(KEY).unique()
        if without_raw:
            rows = present.join(keys, on=KEY, how="semi")
            outcome = contest_of_rows(rows, base.conflict_rejects(keys), messages)
        else:
            before, _ = _decode_all(base.earlier_messages(keys), known_vehicles)
            outcome = contest_of_messages(before, messages)
        added.append(outcome.kept)
        rejects.append(outcome.rejects)
        counted += [weighted(verdicts, weight) for verdicts, weight in outcome.counted]
    return _change(pl.concat(added), contested, rejects, counted)


def _change(
    added: pl.DataFrame,
    contested: pl.DataFrame,
    rejects: list[pl.DataFrame],
    counted: list[pl.DataFrame],
) -> HourStep:
    return HourStep(
        telemetry_added=added.select(TELEMETRY.names),
        contested=contested,
        rejects_added=pl.concat([frame.select(TELEMETRY_REJECTS.names) for frame in rejects]),
        verdicts=pl.concat(counted),
    )


def _decode_all(
    messages: pl.DataFrame, known_vehicles: frozenset[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Decoded messages with their coordinates, and rejects with reason and detail."""
    by_landing = messages.filter(pl.col("reject_reason").is_not_null()).rename(
        {"reject_reason": "reason", "reject_detail": "detail"}
    )
    passed = messages.filter(pl.col("reject_reason").is_null())
    is_known = pl.col("vehicle_id").is_in(list(known_vehicles))
    stranger = passed.filter(~is_known).rechunk()  # as in `conflict_rejects`
    stranger = stranger.with_columns(
        reason=pl.lit(UNKNOWN_VEHICLE),
        detail=pl.format("no vehicle is registered as {}", "vehicle_id"),
    )
    rows, refused = [], [by_landing, stranger]
    for part in passed.filter(is_known).iter_slices(DECODE_BATCH):
        decoded = decode(part)
        carried = part.select(*_TRACE, *_CARRIED)
        if not decoded.rejects.is_empty():
            carried = carried[decoded.rows["i"]]
            numbered = part.with_row_index("i").drop("reject_reason", "reject_detail")
            refused.append(numbered.join(decoded.rejects, on="i"))
        rows.append(pl.concat([decoded.rows.drop("i"), carried], how="horizontal"))
    columns = [*KEY, "event_hour", *_TRACE, *_CARRIED, "reason", "detail"]
    empty = messages.clear().select(
        *TELEMETRY.polars_schema.to_frame().get_columns(),
        *(pl.col(name) for name in [*_TRACE, *_CARRIED]),
    )
    return (
        pl.concat([empty, *(r.select(empty.columns) for r in rows)]),
        pl.concat([frame.select(columns) for frame in refused]),
    )


def _contested(present: pl.DataFrame, decoded: pl.DataFrame) -> pl.DataFrame:
    """Keys whose present row disagrees with a new message, or was in conflict before."""
    again = decoded.join(present.select(KEY), on=KEY, how="semi")
    said = present.select(*KEY, "conflict", hash=canonical_hash(present))
    new = again.select(*KEY, new_hash=canonical_hash(again))
    differs = (pl.col("new_hash") != pl.col("hash")) | pl.col("conflict")
    return new.join(said, on=KEY).filter(differs).select(KEY).unique().sort(KEY)


def _repeats_are_duplicates(
    verdicts: pl.DataFrame, present: pl.DataFrame, contested: pl.DataFrame
) -> pl.DataFrame:
    """Verdicts of keys that nobody contests; a key that is there already is a duplicate."""
    met = present.select(*KEY, met=pl.lit(True))
    return (
        verdicts.join(contested, on=KEY, how="anti")
        .join(met, on=KEY, how="left")
        .with_columns(
            verdict=pl.when(pl.col("met").is_not_null())
            .then(pl.lit(DUPLICATE))
            .otherwise("verdict")
        )
        .drop("met")
    )


def _taken_back(readmitted: pl.DataFrame) -> pl.DataFrame:
    """What readmitted messages were counted as before."""
    return weighted(readmitted.with_columns(verdict=pl.lit(UNKNOWN_VEHICLE)), -1)


def weighted(verdicts: pl.DataFrame, weight: int) -> pl.DataFrame:
    """Verdicts in the form in which they are counted."""
    counted = ["offset_start", "offset_end", "append_time", "replay_of"]
    return verdicts.select(
        "event_hour", *KEY, *_TRACE, *counted, "verdict", weight=pl.lit(weight, dtype=pl.Int64)
    )


__all__ = ["CONFLICTING", "Base", "HourStep", "step"]
