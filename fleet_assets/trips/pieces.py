"""From the telemetry of one window to the pieces of its trips.

A vehicle's window is tiled by *runs*, which begin and end with a sample that sets, and *rests*
between them and at the edges. What a row adds belongs to the piece in which it lies.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from fleet_assets.episodes.levels import CLEAR, SET, UNKNOWN
from fleet_assets.episodes.pieces import RUN, pieces
from fleet_assets.episodes.runs import Line
from fleet_assets.trips.fuel import of_piece
from fleet_assets.trips.limits import TripLimits
from fleet_assets.trips.steps import SUMS, with_steps
from fleet_assets.trips.told import at_ends, readings

MOTION: Final = "motion"
IGNITION: Final = "ignition"
_FIRST_AND_LAST: Final = ("odometer", "gps_lat", "gps_lon")
TRIP_PIECE_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "trip_kind": pl.String(),
        "is_run": pl.Boolean(),
        "started_us": pl.Int64(),
        "ended_us": pl.Int64(),
        "samples": pl.Int64(),
        "seen_us": pl.Int64(),  # of steps between samples that are known, but for the first one
        "is_silent": pl.Boolean(),  # one of these steps was too long
        "is_off": pl.Boolean(),  # a sample of it ends any trip
        "entry_seen_us": pl.Int64(),  # the step that leads to the first sample
        "entry_is_silent": pl.Boolean(),
        **{name: pl.Int64() for name in SUMS},  # of all its rows
        **{f"entry_{name}": pl.Int64() for name in SUMS},  # of its first row
        "speed_max": pl.Float64(),
        "rpm_max": pl.Float64(),
        **{f"{name}_first": pl.Float64() for name in _FIRST_AND_LAST},
        **{f"{name}_last": pl.Float64() for name in _FIRST_AND_LAST},
        # as known at its first and at its last row: tells travel in a silence between pieces
        **{f"{name}_entering": pl.Float64() for name in _FIRST_AND_LAST},
        **{f"{name}_leaving": pl.Float64() for name in _FIRST_AND_LAST},
        "driver_id": pl.String(),
        "named": pl.Int64(),  # bits of the signals that any of its rows names
        # fuel levels near its two ends, each with its time in one number
        "fuel_first": pl.List(pl.Int64()),
        "fuel_last": pl.List(pl.Int64()),
        # parts of 30 s that begin in it, those that know the fuel level, rises that may be refuels
        "slots": pl.Int64(),
        "fuel_slots": pl.Int64(),
        "fuel_rises": pl.List(pl.Int64()),
        "fuel_fall": pl.Float64(),  # the largest one from five minutes to the next
        "is_private": pl.Boolean(),  # a row says so; null: none says anything
    }
)


def trip_pieces(
    telemetry: pl.DataFrame, limits: TripLimits, window_start_us: int | None = None
) -> pl.DataFrame:
    """Pieces of the trips of both kinds in one window.

    Args:
        telemetry: rows in order of vehicle and event time: `vehicle_id`, `event_time`, `conflict`,
            `driver_id`, `private`, `ignition`, `speed` (mph), `engine_rpm`, `odometer` (mi),
            `gps_lat`, `gps_lon` (degrees), `fuel_level` (%), `null_signals`, `invalid_values` and
            the other signals of `NAMED`; before the window's own the ten minutes before as context
            (at least `rest_s`, and two spans of fuel readings).
        limits: what makes a trip.
        window_start_us: event time in µs; rows before it are context, to which nothing is credited.

    Returns:
        Rows of TRIP_PIECE_SCHEMA.
    """
    rows = with_steps(telemetry, limits)
    moves = pl.when(pl.col("speed") >= limits.moving_mph).then(SET).otherwise(UNKNOWN)
    is_on = pl.when("ignition").then(SET).when(~pl.col("ignition")).then(CLEAR).otherwise(UNKNOWN)
    kinds = (
        (MOTION, moves, pl.col("speed").is_not_null()),
        (IGNITION, is_on, pl.col("ignition").is_not_null()),
    )
    start = np.iinfo(np.int64).min if window_start_us is None else window_start_us
    return pl.concat(
        _of_kind(rows.with_columns(level=level.cast(pl.Int8), says=says), kind, limits, start)
        for kind, level, says in kinds
    )


def _of_kind(rows: pl.DataFrame, kind: str, limits: TripLimits, start_us: int) -> pl.DataFrame:
    speaks = rows.filter("says").select(
        "row", step=pl.col("at_us") - pl.col("at_us").shift(1).over("vehicle_id")
    )
    silent = (pl.col("step") > limits.rest_us).fill_null(value=True) & pl.col("says")
    own = (
        rows.join(speaks, on="row", how="left", maintain_order="left")
        .filter(pl.col("at_us") >= start_us)
        .with_columns(is_silent=silent, seen_us=pl.when(~silent).then("step"))
    )
    tiled = own.hstack([_tiles(own, limits)]).with_columns(
        reading=readings("fuel_level", "at_us", ["vehicle_id", "tile"])
    )
    sums = ("seen_us", *SUMS)
    return (
        tiled.group_by("vehicle_id", "tile", maintain_order=True)
        .agg(
            is_run=pl.col("tile").first() % 2 == 1,
            started_us=pl.col("at_us").first(),
            ended_us=pl.col("at_us").last(),
            samples=pl.col("says").sum().cast(pl.Int64),
            **{name: pl.col(name).sum() for name in sums},
            **{f"entry_{name}": pl.col(name).first().fill_null(0) for name in sums},
            is_silent=pl.col("is_silent").any(),
            entry_is_silent=pl.col("is_silent").first(),
            is_off=(pl.col("level") == CLEAR).any(),
            speed_max=pl.col("speed").max(),
            rpm_max=pl.col("engine_rpm").max(),
            **{f"{name}_first": pl.col(name).drop_nulls().first() for name in _FIRST_AND_LAST},
            **{f"{name}_last": pl.col(name).drop_nulls().last() for name in _FIRST_AND_LAST},
            **{f"{name}_entering": pl.col(f"{name}_there").first() for name in _FIRST_AND_LAST},
            **{f"{name}_leaving": pl.col(f"{name}_there").last() for name in _FIRST_AND_LAST},
            driver_id=pl.col("driver_id").drop_nulls().first(),
            named=pl.col("named").bitwise_or(),
            **at_ends("reading"),
            **of_piece(),
            is_private=pl.col("private").max(),
        )
        .with_columns(trip_kind=pl.lit(kind))
        .select(pl.col(name).cast(dtype) for name, dtype in TRIP_PIECE_SCHEMA.items())
    )


def _tiles(own: pl.DataFrame, limits: TripLimits) -> pl.Series:
    """Number of the piece of each row, odd within runs: edges of runs up to the row."""
    codes = own["vehicle_id"].rle_id().cast(pl.Int32).to_numpy()
    found = pieces(Line.of(codes, own["at_us"].to_numpy(), limits.rest_us), own["level"].to_numpy())
    runs = found.part == RUN
    edges = np.zeros(own.height + 1, np.int64)
    edges[found.start[runs]] += 1
    edges[found.end[runs] + 1] += 1  # a run may follow at once: then its number grows by two
    return pl.Series("tile", np.cumsum(edges)[:-1])
