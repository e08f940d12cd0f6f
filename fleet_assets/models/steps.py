"""What each sensor did within one step, beside the trailing features of the catalogue.

Features look back for up to five minutes, so that a fault shows in them slowly and goes on showing
after it. Steps look at their own messages (and the one before) alone: models get onsets from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.features.kernel import RAW_SIGNALS, STEP, in_order

SIGNALS: Final = (*RAW_SIGNALS, "oil_pressure", "intake_air_temp", "ambient_temp")
"""Signals that steps tell of; those that telemetry lacks are null."""
PLAIN: Final = tuple(name for name in SIGNALS if not name.startswith("gps_"))
MEASURES: Final = ("mean", "spread", "jump", "same_s", "null_share")
COMPANIONS: Final[Mapping[str, str]] = {
    "engine_rpm": "speed", "speed": "engine_rpm", "throttle_position": "engine_rpm",
    "engine_load": "engine_rpm", "accel_x": "speed", "gps": "speed",
}  # fmt: skip
"""Signals that hardly stand still while their companion moves."""
JOINT: Final = (
    *(f"{name}_same_travel" for name in COMPANIONS),
    "gps_speed", "gps_excess_m", "gps_same_s", "gps_null_share",
    "speed_change", "gear", "gear_spread",
)  # fmt: skip
COLUMNS: Final = tuple(f"{name}_{what}" for name in PLAIN for what in MEASURES) + JOINT
"""Columns of steps: of each plain signal its mean, range, greatest change between messages (all in
its unit), seconds without any change at the step's end (at most MOST_SAME_S) and share of messages
that name it as null; how far its companion went, up and down, in those seconds. The same for
positions, with speed by them (mph) and the metres that they moved beyond what the wheels tell;
change of wheel speed (mph/s); mean ln(rpm/mph) while coupled, and its range."""
MOST_SAME_S: Final = 120.0
_DIGITS: Final = 9
"""Sums of floats differ in their last bits with where a history is cut; signals have fewer digits,
and means of a few of them do not lie between two numbers of so many."""
_GAP_S: Final = 60.0
_COUPLED_MPH: Final = 10.0
_RUNNING_RPM: Final = 500.0
_METRES_PER_DEGREE: Final = 111_195.0
_MPS_PER_MPH: Final = 0.44704


def steps_of(telemetry: pl.DataFrame, *, step: timedelta = STEP) -> pl.DataFrame:
    """One row for each vehicle and step in which it has sent.

    Args:
        telemetry: rows with `vehicle_id`, `event_time`, and any of SIGNALS, `conflict` and
            `null_signals`, in any order. With MOST_SAME_S of context before the first wanted step
            it does not matter where a history was cut.
        step: length of steps, as of the feature windows.

    Returns:
        `vehicle_id`, `window_end` and COLUMNS as floats, in order of vehicle and time.
    """
    rows = in_order(_prepared(telemetry))
    moved = rows.lazy().with_columns(_since()).with_columns(*_moves())
    changed = moved.with_columns(*_paths()).with_columns(*_lasting()).with_columns(*_travels())
    end = pl.col("event_time").dt.truncate(step) + step
    told = changed.with_columns(window_end=end).group_by(
        "vehicle_id", "window_end", maintain_order=True
    )
    numbers = pl.col(COLUMNS).round(_DIGITS)
    return told.agg(*_told()).select("vehicle_id", "window_end", numbers).collect()


def _prepared(telemetry: pl.DataFrame) -> pl.DataFrame:
    """Signals as floats, unknown in conflicts; a fix at 0,0 is none; flags of nulls."""
    there = set(telemetry.columns)
    sound = ~pl.col("conflict") if "conflict" in there else pl.lit(value=True)
    known = [
        pl.when(sound).then(pl.col(n).cast(pl.Float64)).alias(n) for n in SIGNALS if n in there
    ]
    lacking = [pl.lit(None, dtype=pl.Float64).alias(n) for n in SIGNALS if n not in there]
    named = (
        pl.col("null_signals") if "null_signals" in there else pl.lit([], dtype=pl.List(pl.String))
    )
    nulls = telemetry.select(
        "vehicle_id",
        "event_time",
        *known,
        *lacking,
        named=named,
    )
    spoken = set(nulls["named"].explode().drop_nulls().unique())
    has_fix = (pl.col("gps_lat") != 0) | (pl.col("gps_lon") != 0)
    return nulls.with_columns(
        *(_null_flag(name, name in spoken) for name in (*PLAIN, "gps_lat")),
        *(pl.when(has_fix).then(name).alias(name) for name in ("gps_lat", "gps_lon")),
    ).drop("named")


def _null_flag(name: str, is_there: bool) -> pl.Expr:
    flag = pl.col("named").list.contains(name) if is_there else pl.lit(value=False)
    return flag.cast(pl.Float64).alias(f"{name}_null")


def _since() -> pl.Expr:
    """Seconds since the message before; null at a vehicle's first and after a silence."""
    passed = pl.col("event_time").diff().dt.total_microseconds() / 1e6
    same = pl.col("vehicle_id") == pl.col("vehicle_id").shift(1)
    return pl.when(same & (passed <= _GAP_S)).then(passed).alias("passed_s")


def _moves() -> Iterator[pl.Expr]:
    """Changes since the message before."""
    linked = pl.col("passed_s").is_not_null()
    for name in PLAIN:
        yield pl.when(linked).then(pl.col(name).diff()).alias(f"{name}_diff")
    north = pl.col("gps_lat").diff() * _METRES_PER_DEGREE
    east = pl.col("gps_lon").diff() * _METRES_PER_DEGREE * pl.col("gps_lat").radians().cos()
    yield pl.when(linked).then((north**2 + east**2).sqrt()).alias("metres")
    coupled = (pl.col("speed") >= _COUPLED_MPH) & (pl.col("engine_rpm") >= _RUNNING_RPM)
    yield pl.when(coupled).then((pl.col("engine_rpm") / pl.col("speed")).log()).alias("gear")


def _lasting() -> Iterator[pl.Expr]:
    """Seconds since each signal has changed; a silence or an unknown value begins anew."""
    seconds = pl.col("event_time").dt.epoch("us") / 1e6
    for name, moved in [*((n, f"{n}_diff") for n in PLAIN), ("gps", "metres")]:
        anew = pl.col(moved).is_null() | (pl.col(moved) != 0)
        begun = pl.when(anew).then(seconds).forward_fill()
        value = pl.col("gps_lat" if name == "gps" else name)
        lasting = (seconds - begun).clip(upper_bound=MOST_SAME_S)
        yield pl.when(value.is_not_null()).then(lasting).alias(f"{name}_same_s")


def _paths() -> Iterator[pl.Expr]:
    """How far companions went: in all so far, and over the last MOST_SAME_S."""
    for name in dict.fromkeys(COMPANIONS.values()):
        way = pl.col(f"{name}_diff").abs().fill_null(0)
        recent = way.rolling_sum_by("event_time", f"{MOST_SAME_S:.0f}s").over("vehicle_id")
        yield way.cum_sum().alias(f"{name}_path")
        yield recent.alias(f"{name}_recent")


def _travels() -> Iterator[pl.Expr]:
    for name, other in COMPANIONS.items():
        same = pl.col(f"{name}_same_s")
        path = pl.col(f"{other}_path")
        since = path - pl.when(same == 0).then(path).forward_fill()
        far = pl.when(same >= MOST_SAME_S).then(f"{other}_recent").otherwise(since)
        yield pl.when(same.is_not_null()).then(far.round(3)).alias(f"{name}_same_travel")


def _told() -> Iterator[pl.Expr]:
    for name in PLAIN:
        value = pl.col(name)
        yield value.mean().alias(f"{name}_mean")
        yield (value.max() - value.min()).alias(f"{name}_spread")
        yield pl.col(f"{name}_diff").abs().max().alias(f"{name}_jump")
        yield pl.col(f"{name}_same_s").last()
        yield pl.col(f"{name}_null").mean().alias(f"{name}_null_share")
    for name in COMPANIONS:
        yield pl.col(f"{name}_same_travel").max()
    passed = pl.col("passed_s")
    by_fix = pl.col("metres").sum() / passed.filter(pl.col("metres").is_not_null()).sum()
    yield pl.when(pl.col("metres").count() > 0).then(by_fix / _MPS_PER_MPH).alias("gps_speed")
    by_wheels = pl.max_horizontal("speed", pl.col("speed") - pl.col("speed_diff"))
    excess = pl.col("metres") - by_wheels.fill_null(0) * _MPS_PER_MPH * passed
    yield excess.max().alias("gps_excess_m")
    yield pl.col("gps_same_s").last()
    yield pl.col("gps_lat_null").mean().alias("gps_null_share")
    driven = passed.filter(pl.col("speed_diff").is_not_null()).sum()
    change = pl.col("speed_diff").sum() / driven
    yield pl.when(driven > 0).then(change).alias("speed_change")
    yield pl.col("gear").mean()
    yield (pl.col("gear").max() - pl.col("gear").min()).alias("gear_spread")
