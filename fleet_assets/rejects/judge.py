"""Whether a message would be accepted now: the judgement of landing and refresh, beforehand."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.placement import place
from fleet_assets.telemetry.time_policy import TimePolicy

NEW: Final = ["new_key", "new_value", "new_vehicle_id", "new_reason", "new_detail"]


def judge(
    rows: pl.DataFrame, policy: TimePolicy, known_vehicles: frozenset[str], now: datetime
) -> pl.DataFrame:
    """Judges messages as if they arrived now under the key of their own vehicle.

    Other messages of the same vehicle and time are not looked at: a message may turn out to
    repeat or to contradict one.

    Args:
        rows: `key` as it was, `new_value` and any others.
        policy: which event times are accepted.
        known_vehicles: ids of all registered vehicles.
        now: the moment of arrival.

    Returns:
        The rows in the same order with NEW: the key is the vehicle's id where that can be read;
        `new_reason` is null for those that would be accepted.
    """
    messages = rows.select(
        append_time=pl.lit(now, dtype=UTC_MICROSECONDS),
        key=pl.lit(None, dtype=pl.Binary),
        value="new_value",
    )
    placed = place(messages, policy).with_row_index("i")
    vehicle = pl.col("vehicle_id")
    unknown = pl.col("reject_reason").is_null() & ~vehicle.is_in(list(known_vehicles))
    placed = placed.with_columns(
        new_reason=pl.when(unknown).then(pl.lit("unknown_vehicle")).otherwise("reject_reason"),
        new_detail=pl.when(unknown)
        .then(pl.lit("no vehicle is registered as ") + vehicle)
        .otherwise("reject_detail"),
    )
    passed = placed.filter(pl.col("new_reason").is_null())
    if not passed.is_empty():
        refused = decode(passed).rejects
        at = pl.DataFrame({"i": passed["i"][refused["i"].cast(pl.Int64)]})
        late = pl.concat([at, refused.select("reason", "detail")], how="horizontal")
        placed = placed.join(late, on="i", how="left", maintain_order="left").with_columns(
            new_reason=pl.coalesce("reason", "new_reason"),
            new_detail=pl.coalesce("detail", "new_detail"),
        )
    found = placed.select(
        "new_reason", "new_detail", new_vehicle_id="vehicle_id", vehicle_key=vehicle.cast(pl.Binary)
    )
    return (
        pl.concat([rows, found], how="horizontal")
        .with_columns(new_key=pl.coalesce("vehicle_key", "key"))
        .drop("vehicle_key")
    )
