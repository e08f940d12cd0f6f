"""Fuel used by a trip: the fall of the level between its ends, with refuels added.

A noisy level falls and rises all the time, so its falls are never summed: medians of five minutes
are compared. What is computed of a row looks ten minutes back and never ahead, so that the rows of
a window and of the ten minutes before it suffice.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.trips.limits import TripLimits
from fleet_assets.trips.told import LEAST_READINGS, PACK, READING_US, READINGS

_DECIMALS: Final = 6
_THOUSANDTHS: Final = 1000


def with_fuel(rows: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    """Adds what each row tells of fuel.

    Args:
        rows: in order of vehicle and time: `row`, `vehicle_id`, `at_us`, `fuel_level` (%).
        limits: what makes a refuel.

    Returns:
        The rows with `slots` and `fuel_slots` (1 if the row is the first of its 30 s, or the first
        there that knows the level; else 0), `fall` (%): how far the level has fallen from the five
        minutes before to the last five, null between readings, and `rise`: the same upwards if it
        may be a refuel, packed with its time.
    """
    slot = pl.col("at_us") // READING_US
    first = (slot != slot.shift(1).over("vehicle_id")).fill_null(value=True)
    known = rows.filter(pl.col("fuel_level").is_not_null()).select(
        "row", "vehicle_id", "fuel_level", slot=slot, fuel_slots=first.cast(pl.Int64)
    )
    readings = known.filter(pl.col("fuel_slots") == 1)
    now, before = (_medians(readings, offset) for offset in (-READINGS, -2 * READINGS))
    rise = now - before
    rises = readings.select(
        "row",
        fall=-rise,
        rise=pl.when(rise >= limits.refuel_percent).then(
            pl.col("slot") * PACK + (rise * _THOUSANDTHS).round().cast(pl.Int64)
        ),
    )
    return (
        rows.with_columns(slots=first.cast(pl.Int64))
        .join(known.select("row", "fuel_slots"), on="row", how="left", maintain_order="left")
        .join(rises, on="row", how="left", maintain_order="left")
        .with_columns(pl.col("fuel_slots").fill_null(0))
    )


def _medians(readings: pl.DataFrame, offset: int) -> pl.Series:
    """For each reading the median of the READINGS slots that begin so many slots off; null: few."""
    return (
        readings.rolling(
            "slot",
            period=f"{READINGS}i",
            offset=f"{offset}i",
            closed="right",
            group_by="vehicle_id",
        )
        .agg(
            median=pl.when(pl.len() >= LEAST_READINGS).then(pl.col("fuel_level").median()),
        )
        .get_column("median")
    )


def of_piece() -> dict[str, pl.Expr]:
    """Aggregates of a piece."""
    return {
        "slots": pl.col("slots").sum(),
        "fuel_slots": pl.col("fuel_slots").sum(),
        "fuel_rises": pl.col("rise").drop_nulls(),
        "fuel_fall": pl.col("fall").max(),
    }


def with_fuel_used(
    trips: pl.DataFrame, pieces: pl.DataFrame, of: list[str], limits: TripLimits
) -> pl.DataFrame:
    """Adds `fuel_coverage`, `refuelled_percent` and `fuel_used_percent` to trips.

    Args:
        trips: with `started_us`, and fuel at both ends (`fuel_at_ends`).
        pieces: those within trips, with the columns of `of_piece`; null where they are unknown.
        of: columns that name a trip.
        limits: what makes a refuel, and when fuel used is known.
    """
    complete = pl.col("slots").is_not_null().all() & (pl.col("slots").sum() > 0)
    coverage = pl.col("fuel_slots").sum() / pl.col("slots").sum()
    covered = pieces.group_by(of, maintain_order=True).agg(
        fuel_coverage=pl.when(complete).then(coverage.clip(0, 1).round(_DECIMALS))
    )
    refuels = _refuels(trips, pieces, of, limits)
    level = pl.col("fuel_start_percent") - pl.col("fuel_end_percent")
    refuelled = pl.when(level.is_not_null() & pl.col("fuel_coverage").is_not_null()).then(
        pl.col("refuelled_percent").fill_null(0.0)
    )
    used = (level + pl.col("refuelled_percent")).round(_DECIMALS)
    is_known = (
        (pl.col("fuel_coverage") >= limits.fuel_coverage)
        & (used >= limits.fuel_noise_factor * pl.col("fuel_noise_percent"))
        & (used >= 0)
    )
    return (
        trips.join(covered, on=of, how="left", maintain_order="left")
        .join(refuels, on=of, how="left", maintain_order="left")
        .with_columns(refuelled_percent=refuelled)
        .with_columns(fuel_used_percent=pl.when(is_known).then(used))
    )


def _refuels(
    trips: pl.DataFrame, pieces: pl.DataFrame, of: list[str], limits: TripLimits
) -> pl.DataFrame:
    """Sum of each trip's refuels: rises that look back into the trip only, by stretches of them.

    A level that falls as far within five minutes is unsteady, by slopes for instance: no vehicle
    burns so much.
    """
    apart = pl.col("slot") - pl.col("slot").shift(1).over(of) > 2 * READINGS
    least = pl.max_horizontal(
        pl.lit(limits.refuel_percent),
        limits.refuel_noise_factor * pl.col("fuel_noise_percent"),
        "fuel_fall",
    )
    falls = pieces.group_by(of, maintain_order=True).agg(pl.col("fuel_fall").max())
    return (
        pieces.select(*of, packed="fuel_rises")
        .explode("packed", empty_as_null=False)
        .drop_nulls("packed")
        .with_columns(slot=pl.col("packed") // PACK, rise=pl.col("packed") % PACK / _THOUSANDTHS)
        .join(trips.select(*of, "started_us", "fuel_noise_percent"), on=of)
        .join(falls, on=of)
        .filter(pl.col("slot") - 2 * READINGS + 1 >= pl.col("started_us") // READING_US)
        .sort(*of, "slot")
        .with_columns(stretch=apart.fill_null(value=True).cast(pl.Int64).cum_sum().over(of))
        .group_by(*of, "stretch", maintain_order=True)
        .agg(pl.col("rise").max(), least=least.first())
        .filter(pl.col("rise") >= pl.col("least"))
        .group_by(of, maintain_order=True)
        .agg(refuelled_percent=pl.col("rise").sum().round(_DECIMALS))
    )
