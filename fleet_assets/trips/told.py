"""What a trip tells besides its travel: signals that it names, fuel at both of its ends."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.robust import MAD_TO_SIGMA

NAMED: Final = {
    "engine_rpm": "engine_rpm", "speed": "speed", "throttle_position": "throttle_position",
    "coolant_temp": "coolant_temp", "fuel_level": "fuel_level", "gps": "gps_lat",
    "accelerometer": "accel_x", "odometer": "odometer", "engine_load": "engine_load",
    "battery_voltage": "battery_voltage", "oil_pressure": "oil_pressure",
    "intake_air_temp": "intake_air_temp", "ambient_temp": "ambient_temp", "heading": "heading",
    "ignition": "ignition",
}  # fmt: skip
"""By wire name the column that tells whether a signal is there. The order is that of the bits of
`named`: add at the end."""
READING_US: Final = 30_000_000
"""Of so long a time the first fuel level is a reading."""
READINGS: Final = 10
"""At each end of a trip: five minutes, if it sends often enough."""
LEAST_READINGS: Final = 3
_KEPT: Final = READINGS + 1
"""Of a piece: the piece beside it may hold an earlier reading of the same time."""
PACK: Final = 1_000_000
"""A number in thousandths of a percent, and the count of its READING_US, in one."""
_THOUSANDTHS: Final = 1000


def named(telemetry: pl.DataFrame) -> pl.Expr:
    """Signals that each row names, a null or a refused value too: bits in order of NAMED."""
    bits = pl.lit(0, dtype=pl.Int64)
    nulls = bool((telemetry["null_signals"].list.len() > 0).any())
    refused = telemetry["invalid_values"].null_count() < telemetry.height
    for bit, column in enumerate(NAMED.values()):
        is_there = (
            pl.col(column).is_not_null() if column in telemetry.columns else pl.lit(value=False)
        )
        if nulls:
            is_there |= pl.col("null_signals").list.contains(column).fill_null(value=False)
        if refused:
            key = pl.lit(f'"{column}"')
            is_there |= pl.col("invalid_values").str.contains(key, literal=True).fill_null(False)
        bits = bits | (is_there.cast(pl.Int64) * 2**bit)
    return bits


def readings(fuel: str, at_us: str, of: list[str]) -> pl.Expr:
    """The fuel level of a row if it is a reading, with its time, in one number; else null.

    Args:
        fuel: column of the level in percent; null: not known.
        at_us: column of the time.
        of: columns that change from piece to piece.
    """
    known = pl.col(fuel).is_not_null()
    when = pl.col(at_us) // READING_US
    before = pl.when(known).then(when).forward_fill().shift(1).over(of)
    is_first = known & (before.is_null() | (when != before))
    value = (pl.col(fuel) * _THOUSANDTHS).round().cast(pl.Int64)
    return pl.when(is_first).then(when * PACK + value)


def at_ends(reading: str) -> dict[str, pl.Expr]:
    """Aggregates of a piece: the readings at its two ends."""
    all_of_it = pl.col(reading).drop_nulls()
    return {"fuel_first": all_of_it.head(_KEPT), "fuel_last": all_of_it.tail(_KEPT)}


def signals_in_words() -> pl.Expr:
    """Names of the signals in `named`, in order of the alphabet, with commas between."""
    ordered = sorted((name, bit) for bit, name in enumerate(NAMED))
    return pl.concat_str(
        [pl.when((pl.col("named") // 2**bit) % 2 == 1).then(pl.lit(name)) for name, bit in ordered],
        separator=",",
        ignore_nulls=True,
    )


def fuel_at_ends(pieces: pl.DataFrame, of: list[str]) -> pl.DataFrame:
    """Fuel at the ends of trips.

    Args:
        pieces: those within trips in order of time, with the columns of `at_ends`.
        of: columns that name a trip.

    Returns:
        The columns of a trip, `fuel_start_percent` and `fuel_end_percent` (medians of the readings
        there, null if they are too few) and `fuel_noise_percent`: their spread about these
        medians, as a standard deviation.
    """
    ends = pl.concat(
        pieces.select(*of, end=pl.lit(name), packed=pl.col(column))
        .explode("packed", empty_as_null=False)
        .drop_nulls("packed")
        .with_columns(when=pl.col("packed") // PACK, level=(pl.col("packed") % PACK) / 1000)
        .unique([*of, "when"], keep="first", maintain_order=True)
        .group_by(*of, "end", maintain_order=True)
        .agg(edge(pl.col("level"), READINGS))
        for name, column, edge in (
            ("start", "fuel_first", pl.Expr.head),
            ("end", "fuel_last", pl.Expr.tail),
        )
    )
    told = (
        ends.filter(pl.col("level").list.len() >= LEAST_READINGS)
        .with_columns(median=pl.col("level").list.median())
        .explode("level")
        .with_columns(off=(pl.col("level") - pl.col("median")).abs())
    )
    of_end = {
        f"fuel_{name}_percent": pl.col("median").filter(pl.col("end") == name).first().round(6)
        for name in ("start", "end")
    }
    noise = (MAD_TO_SIGMA * pl.col("off").median()).round(3)
    return told.group_by(of, maintain_order=True).agg(**of_end, fuel_noise_percent=noise)
