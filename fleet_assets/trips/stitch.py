"""From the pieces of windows to trips.

Law: whatever way a history is cut into windows, stitching their pieces gives the trips of one
window with all samples.
"""

from __future__ import annotations

import hashlib
from typing import Final

import polars as pl

from fleet_assets.trips.fuel import with_fuel_used
from fleet_assets.trips.limits import TripLimits
from fleet_assets.trips.pieces import TRIP_PIECE_SCHEMA
from fleet_assets.trips.steps import M_PER_MILE, SUMS, distance_m
from fleet_assets.trips.told import fuel_at_ends, signals_in_words

_OF: Final = ["vehicle_id", "trip_kind"]
_TIME: Final = pl.Datetime("us", "UTC")
_UM_PER_MILE: Final = M_PER_MILE * 1_000_000
_DECIMALS: Final = 6
"""Rounded so far, because the last bit of a quotient varies with the number of rows."""
TRIP_SCHEMA: Final = pl.Schema(
    {
        "trip_id": pl.String(),
        "vehicle_id": pl.String(),
        "trip_kind": pl.String(),
        "started_at": _TIME,
        "ended_at": _TIME,
        "is_open": pl.Boolean(),
        "samples": pl.Int64(),
        "gps_miles": pl.Float64(),
        "speed_miles": pl.Float64(),
        "odometer_miles": pl.Float64(),
        "idle_seconds": pl.Float64(),
        "speed_max_mph": pl.Float64(),
        "rpm_max": pl.Float64(),
        "start_lat": pl.Float64(),
        "start_lon": pl.Float64(),
        "end_lat": pl.Float64(),
        "end_lon": pl.Float64(),
        "driver_id": pl.String(),
        "signals": pl.String(),
        "fuel_start_percent": pl.Float64(),
        "fuel_end_percent": pl.Float64(),
        "fuel_noise_percent": pl.Float64(),
        "is_private": pl.Boolean(),
        "fuel_coverage": pl.Float64(),
        "refuelled_percent": pl.Float64(),
        "fuel_used_percent": pl.Float64(),
    }
)
"""`is_open`: no sample that is known has ended it. Distances are null where the signal is."""


def stitch_trips(pieces: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    """Joins pieces of any number of windows, in whatever order they come.

    Args:
        pieces: rows of TRIP_PIECE_SCHEMA; each window appears once.
        limits: what makes a trip.

    Returns:
        Rows of TRIP_SCHEMA in order of vehicle, kind and onset.
    """
    return _trips(_chained(pieces, limits), limits)


def advance_trips(
    open_pieces: pl.DataFrame, pieces: pl.DataFrame, limits: TripLimits
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One step of a pass that carries its state, as over a stream.

    Args:
        open_pieces: what the step before has left open; empty at first.
        pieces: pieces of the next window, all later than what is open.
        limits: what makes a trip.

    Returns:
        Trips that nothing can change any more, and the pieces of the last trip of each vehicle,
        which may go on.
    """
    chained = _chained(pl.concat([open_pieces, pieces]), limits)
    is_last = pl.col("trip") == pl.col("trip").max().over(_OF)
    return _trips(chained.filter(~is_last), limits), chained.filter(is_last).select(
        TRIP_PIECE_SCHEMA.names()
    )


def _chained(pieces: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    """Pieces from each vehicle's first run on, with the number of the trip that they belong to.

    `trip` counts a vehicle's trips; a rest carries the number of the trip before it, and whether
    that trip goes on after it.
    """
    ordered = (
        pieces.select(TRIP_PIECE_SCHEMA.names())
        .sort(*_OF, "started_us")
        .with_columns(run=pl.col("is_run").cast(pl.Int64).cum_sum().over(_OF))
        .filter(pl.col("run") > 0)
    )
    of_run = pl.col("is_run")
    runs = ordered.group_by(*_OF, "run", maintain_order=True).agg(
        pl.col("started_us", "entry_seen_us", "entry_is_silent").first(),
        ended_us=pl.col("ended_us").filter(of_run).first(),
        rested_us=pl.col("seen_us").filter(~of_run).sum(),
        was_silent=pl.col("is_silent").filter(~of_run).any(),
        was_off=pl.col("is_off").filter(~of_run).any(),
        **{
            f"{name}_{edge}": pl.col(f"{name}_{edge}").filter(of_run).first()
            for name in ("odometer", "gps_lat", "gps_lon")
            for edge in ("entering", "leaving")
        },
    )
    goes_on = _goes_on(limits)
    numbered = runs.with_columns(goes_on=goes_on).with_columns(
        trip=(~pl.col("goes_on")).cast(pl.Int64).cum_sum().over(_OF),
        next_goes_on=pl.col("goes_on").shift(-1).over(_OF).fill_null(value=False),
        ended=(pl.col("goes_on").shift(-1).over(_OF).is_not_null())
        | pl.col("was_off")
        | (pl.col("rested_us") > limits.rest_us),
    )
    return ordered.join(
        numbered.select(*_OF, "run", "trip", "next_goes_on", "ended"),
        on=[*_OF, "run"],
        how="left",
        maintain_order="left",
    )


def _goes_on(limits: TripLimits) -> pl.Expr:
    """Whether a run belongs to the trip of the run before it."""

    def before(name: str) -> pl.Expr:
        return pl.col(name).shift(1).over(_OF)

    travelled = distance_m(
        before("gps_lat_leaving"), before("gps_lon_leaving"),
        pl.col("gps_lat_entering"), pl.col("gps_lon_entering"),
    )  # fmt: skip
    counted = (pl.col("odometer_entering") - before("odometer_leaving")) * M_PER_MILE
    seconds = (pl.col("started_us") - before("ended_us")) / 1e6
    least = pl.max_horizontal(
        pl.lit(limits.travel_m), seconds * limits.moving_mph * M_PER_MILE / 3600
    )  # a car that is found elsewhere after days has not been driven all the time
    travels = pl.any_horizontal(
        (metres >= least).fill_null(value=False) for metres in (travelled, counted)
    )
    travels &= seconds <= limits.longest_silence_s
    silent = before("was_silent") | pl.col("entry_is_silent")
    short = before("rested_us") + pl.col("entry_seen_us") <= limits.rest_us
    return (~before("was_off") & short & (~silent | travels)).fill_null(value=False)


def _trips(chained: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    inside = chained.filter(pl.col("is_run") | pl.col("next_goes_on"))
    sums = {
        name: pl.col(name).sum() - pl.col(f"entry_{name}").first()  # it led to the onset
        for name in SUMS
    }
    summed = inside.group_by(*_OF, "trip", maintain_order=True).agg(
        started_us=pl.col("started_us").first(),
        ended_us=pl.col("ended_us").last(),
        is_open=~pl.col("ended").last(),
        samples=pl.col("samples").sum(),
        **sums,
        odometer_first=pl.col("odometer_first").drop_nulls().first(),
        odometer_last=pl.col("odometer_last").drop_nulls().last(),
        speed_max_mph=pl.col("speed_max").max(),
        rpm_max=pl.col("rpm_max").max(),
        start_lat=pl.col("gps_lat_first").drop_nulls().first(),
        start_lon=pl.col("gps_lon_first").drop_nulls().first(),
        end_lat=pl.col("gps_lat_last").drop_nulls().last(),
        end_lon=pl.col("gps_lon_last").drop_nulls().last(),
        driver_id=pl.col("driver_id").drop_nulls().first(),
        named=pl.col("named").bitwise_or(),
        is_private=pl.col("is_private").max(),
    )
    fuel = fuel_at_ends(inside, [*_OF, "trip"])
    ids = [
        trip_id(*onset) for onset in summed.select(*_OF, "started_us").iter_rows()
    ]  # few: one for each trip
    told = summed.join(fuel, on=[*_OF, "trip"], how="left", maintain_order="left")
    return (
        with_fuel_used(told, inside, [*_OF, "trip"], limits)
        .with_columns(
            trip_id=pl.Series(ids, dtype=pl.String),
            started_at=pl.from_epoch("started_us", time_unit="us").dt.replace_time_zone("UTC"),
            ended_at=pl.from_epoch("ended_us", time_unit="us").dt.replace_time_zone("UTC"),
            gps_miles=pl.when(pl.col("start_lat").is_not_null()).then(
                (pl.col("gps_um") / _UM_PER_MILE).round(_DECIMALS)
            ),
            speed_miles=pl.when(pl.col("speed_max_mph").is_not_null()).then(
                (pl.col("speed_um") / _UM_PER_MILE).round(_DECIMALS)
            ),
            odometer_miles=(pl.col("odometer_last") - pl.col("odometer_first")).round(_DECIMALS),
            idle_seconds=pl.when(pl.col("rpm_max").is_not_null()).then(
                (pl.col("idle_us") / 1e6).round(_DECIMALS)
            ),
            signals=signals_in_words(),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TRIP_SCHEMA.items())
        .sort(*_OF, "started_at")
    )


def trip_id(vehicle_id: str, trip_kind: str, started_us: int) -> str:
    """Names a trip by what it is: the hash of vehicle, kind and onset in µs."""
    return hashlib.sha256(f"{vehicle_id}/{trip_kind}/{started_us}".encode()).hexdigest()[:32]
