"""One hour of telemetry as a function of its messages: a rebuild from all, or a step by new ones.

Law: stepping through the messages in any batches ends in what a rebuild from all of them gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from fleet_assets.contracts.tables import TELEMETRY, TELEMETRY_REJECTS
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.resolve import (
    CONFLICTING,
    DUPLICATE,
    KEY,
    Resolved,
    canonical_hash,
    resolve,
)

DECODE_BATCH = 400_000
_TRACE = ["landing_version", "kafka_topic_id", "kafka_partition", "kafka_offset"]
_CARRIED = ["offset_start", "offset_end", "append_time", "key", "value", "replay_of"]


@dataclass(frozen=True)
class HourStep:
    """What a set of new messages changes in an hour.

    Attributes:
        telemetry_added: rows to add.
        contested: keys (vehicle_id, event_time) whose present row, and whose rejects as
            conflicting duplicates, must be removed first.
        rejects_added: rows of `telemetry_rejects` to add.
        verdicts: messages with `verdict` and `weight`: +1 counts, −1 takes back an earlier count.
    """

    telemetry_added: pl.DataFrame
    contested: pl.DataFrame
    rejects_added: pl.DataFrame
    verdicts: pl.DataFrame


def step(
    new: pl.DataFrame,
    known_vehicles: frozenset[str],
    present_rows: Callable[[pl.DataFrame], pl.DataFrame],
    earlier_messages: Callable[[pl.DataFrame], pl.DataFrame],
) -> HourStep:
    """Takes new messages into an hour.

    Args:
        new: rows of `raw_telemetry` of this hour that were not taken in before.
        known_vehicles: ids of all registered vehicles.
        present_rows: gives the hour's rows of `telemetry` for a frame of keys.
        earlier_messages: gives the raw rows taken in before, for a frame of keys.

    Returns:
        The change. Nothing is kept between calls.
    """
    decoded, refused = _decode_all(new, known_vehicles)
    resolved = resolve(decoded)
    kept, verdicts = resolved.kept, resolved.verdicts
    present = present_rows(kept.select(KEY))
    contested = _contested(present, decoded)

    met_again = kept.select(KEY).join(present.select(KEY), on=KEY, how="semi")
    repeats = met_again.join(contested, on=KEY, how="anti")
    plain = verdicts.join(contested, on=KEY, how="anti")
    plain = (
        plain.join(repeats.with_columns(repeat=pl.lit(True)), on=KEY, how="left")
        .with_columns(
            verdict=pl.when(pl.col("repeat").is_not_null())
            .then(pl.lit(DUPLICATE))
            .otherwise("verdict")
        )
        .drop("repeat")
    )
    added = kept.join(met_again, on=KEY, how="anti")
    counted = [_weighted(plain, 1), _weighted(refused.rename({"reason": "verdict"}), 1)]
    losers = [_conflict_rejects(plain)]

    if not contested.is_empty():
        before, _ = _decode_all(earlier_messages(contested), known_vehicles)
        mine = decoded.join(contested, on=KEY, how="semi")
        after = resolve(pl.concat([before, mine], how="diagonal"))
        added = pl.concat([added, after.kept])
        counted += [_weighted(resolve(before).verdicts, -1), _weighted(after.verdicts, 1)]
        losers.append(_conflict_rejects(after.verdicts))

    return HourStep(
        telemetry_added=added.select(TELEMETRY.names).sort(KEY),
        contested=contested,
        rejects_added=pl.concat(
            [frame.select(TELEMETRY_REJECTS.names) for frame in [refused, *losers]]
        ),
        verdicts=pl.concat(counted),
    )


def rebuild(messages: pl.DataFrame, known_vehicles: frozenset[str]) -> HourStep:
    """The hour from all of its messages; the same rows as any sequence of steps gives."""
    nothing_present = TELEMETRY.polars_schema.to_frame()
    return step(messages, known_vehicles, lambda _: nothing_present, lambda _: messages.clear())


def _decode_all(
    messages: pl.DataFrame, known_vehicles: frozenset[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Decoded messages with their coordinates, and rejects with reason and detail."""
    by_landing = messages.filter(pl.col("reject_reason").is_not_null()).rename(
        {"reject_reason": "reason", "reject_detail": "detail"}
    )
    passed = messages.filter(pl.col("reject_reason").is_null())
    is_known = pl.col("vehicle_id").is_in(list(known_vehicles))
    stranger = passed.filter(~is_known).with_columns(
        reason=pl.lit("unknown_vehicle"),
        detail=pl.format("no vehicle is registered as {}", "vehicle_id"),
    )
    rows, refused = [], [by_landing, stranger]
    for part in passed.filter(is_known).iter_slices(DECODE_BATCH):
        numbered = part.with_row_index("i")
        decoded = decode(part)
        rows.append(decoded.rows.join(numbered.select("i", *_TRACE, *_CARRIED), on="i"))
        refused.append(numbered.join(decoded.rejects, on="i"))
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
    if present.is_empty():
        return present.select(KEY)
    again = decoded.join(present.select(KEY), on=KEY, how="semi")
    said = present.select(*KEY, "conflict", hash=canonical_hash(present))
    new = again.select(*KEY, new_hash=canonical_hash(again))
    differs = (pl.col("new_hash") != pl.col("hash")) | pl.col("conflict")
    return new.join(said, on=KEY).filter(differs).select(KEY).unique().sort(KEY)


def _conflict_rejects(verdicts: pl.DataFrame) -> pl.DataFrame:
    return verdicts.filter(pl.col("verdict") == CONFLICTING).with_columns(
        reason=pl.lit(CONFLICTING),
        detail=pl.format(
            "{} at {} was sent with other values too",
            "vehicle_id",
            pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        ),
    )


def _weighted(verdicts: pl.DataFrame, weight: int) -> pl.DataFrame:
    counted = ["offset_start", "offset_end", "append_time", "replay_of"]
    names = ["vehicle_id", "event_time", *_TRACE, *counted]
    return verdicts.select(*names, "verdict", weight=pl.lit(weight, dtype=pl.Int64))


__all__ = ["HourStep", "Resolved", "rebuild", "step"]
