"""What is kept of each vehicle's hour so that new rows can be added without reading the others.

Everything is a sum, a count, an extreme or a first or last value of whole numbers. The one thing
that reaches beyond a row is the time that a sample stands for, which runs to the next sample: a
row that comes between two others changes what the one before it stands for. So the sums are kept
by the gap that follows a sample, and adding rows moves samples from one gap to another.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.tables import MISSING_SHARES, VEHICLE_HOUR_STATES
from fleet_assets.telemetry.samples import STEPS, is_missing

FORM: Final = 1
"""Of the states: another number where states of before would mean something else."""

GAP_MS: Final = 100
LONGER: Final = 601
"""Stands for all gaps that are more than 600 tenths of a second, rounded."""
LAST: Final = -1
"""Stands for the gap of the hour's last sample of a vehicle, which has none."""

REACH_MS: Final = LONGER * GAP_MS - GAP_MS // 2
"""Samples at least this far apart do not matter to each other."""

IDLE_BELOW: Final = STEPS["speed"]
"""A vehicle slower than 1 mph stands (RULES, R15)."""

RPM_ORIGIN: Final = 8192 * STEPS["engine_rpm"]
"""Engine speed is counted from the middle of its range: so the sums of squares fit 64 bits."""

FUEL_BLOCK_MS: Final = 300_000

_KEY: Final = ["vehicle_id", "event_time"]
_MOMENTARY: Final = ["number", "event_time", "speed", "engine_rpm"]
_NUMBER: Final = "number"  # of a vehicle, which sorts and hashes faster than its id
_COUNTS: Final = ["messages", "conflicts", "invalid_values", "speed_and_rpm", *(
    f"missing_{name}" for name in MISSING_SHARES
)]  # fmt: skip
_LEAST: Final = ["first_event_time", "fuel_first_time"]
_MOST: Final = ["last_event_time", "fuel_last_time", "speed_max", "rpm_max", "coolant_max"]
_FIRST: Final = {
    "position_first_time": ["first_lat", "first_lon"],
    "odometer_first_time": ["odometer_first"],
}
_LAST: Final = {
    "position_last_time": ["last_lat", "last_lon"],
    "odometer_last_time": ["odometer_last"],
}
_FLAT: Final = [
    name
    for name in VEHICLE_HOUR_STATES.names
    if name not in ("event_hour", "vehicle_id", "gaps", "fuel")
]


def no_states() -> pl.DataFrame:
    """States of an hour without rows."""
    return VEHICLE_HOUR_STATES.polars_schema.to_frame()


def hour_states(samples: pl.DataFrame, event_hour: str) -> pl.DataFrame:
    """States of vehicles from all their samples of the hour."""
    return states_with(no_states(), samples, None, event_hour)


def out_of_order(before: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Keys of the new samples that are not later than all samples that the states include."""
    last = before.select("vehicle_id", "last_event_time")
    return (
        new.select(_KEY)
        .join(last, on="vehicle_id", how="inner")
        .filter(pl.col("event_time") <= pl.col("last_event_time"))
        .select(_KEY)
    )


def slot() -> pl.Expr:
    """Number of the stretch of REACH_MS in which a sample lies."""
    return pl.col("event_time").dt.timestamp("ms") // REACH_MS


def slots_near(keys: pl.DataFrame) -> pl.DataFrame:
    """Vehicles and slots in which samples may lie that matter to samples with these keys."""
    own = keys.select("vehicle_id", slot=slot()).unique()
    return pl.concat(own.with_columns(pl.col("slot") + step) for step in (-1, 0, 1)).unique()


def states_with(
    before: pl.DataFrame, new: pl.DataFrame, near: pl.DataFrame | None, event_hour: str
) -> pl.DataFrame:
    """States after new samples have been added.

    Law: whatever the order and the parts in which an hour's samples are added, the states are
    the same.

    Args:
        before: states of the hour.
        new: samples (see `samples`); none of their keys is included in `before`.
        near: columns MOMENTARY of the samples that `before` includes; at least those in the
            slots near samples that come `out_of_order`. Samples of `new` may be among them.
            None: nothing comes out of order.
        event_hour: key of the hour.

    Returns:
        States of all vehicles, sorted.
    """
    vehicles = new.select("vehicle_id").unique().sort("vehicle_id").with_row_index(_NUMBER)
    mine, new = _numbered(before, vehicles), _numbered(new, vehicles).sort(_place())
    known = None if near is None else _numbered(near, vehicles)
    flat = _flat_with(mine, new)
    gaps = _nested("gaps", [exploded(mine, "gaps", _NUMBER), *_gap_changes(mine, new, known)])
    fuel = _nested("fuel", [exploded(mine, "fuel", _NUMBER), _fuel_of(new)])
    states = (
        vehicles.join(flat, on=_NUMBER)
        .join(gaps, on=_NUMBER, how="left")
        .join(fuel, on=_NUMBER, how="left")
        .with_columns(pl.col("fuel").fill_null([]), event_hour=pl.lit(event_hour))
        .select(VEHICLE_HOUR_STATES.names)
        .cast(VEHICLE_HOUR_STATES.polars_schema)
    )
    others = before.join(vehicles, on="vehicle_id", how="anti")
    return pl.concat([others, states]).sort("vehicle_id")


def exploded(states: pl.DataFrame, name: str, vehicle: str = "vehicle_id") -> pl.DataFrame:
    """One row per vehicle and item of a nested column, its fields as columns."""
    items = states.select(vehicle, name).filter(pl.col(name).list.len() > 0)
    return items.explode(name).unnest(name)


def _numbered(rows: pl.DataFrame, vehicles: pl.DataFrame) -> pl.DataFrame:
    """Rows of these vehicles alone, with their numbers in place of the ids."""
    return rows.join(vehicles, on="vehicle_id").drop("vehicle_id")


def _place() -> pl.Expr:
    """Place in the line of all samples, by vehicle and time; even, so that one fits between."""
    micros = pl.col("event_time").dt.timestamp("us") % 3_600_000_000
    return pl.col(_NUMBER).cast(pl.Int64) * 2**33 + micros * 2


def _flat_with(before: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Counts, extremes, first and last values."""
    names = [_NUMBER, *_FLAT]
    both = pl.concat(
        [part.select(names) for part in (before, _flat_of(new))], how="vertical_relaxed"
    )
    return both.group_by(_NUMBER).agg(
        pl.col(_COUNTS).sum(),
        pl.col(_LEAST).min(),
        pl.col(_MOST).max(),
        *(
            pl.col([time, *values]).sort_by(time, nulls_last=True).first()
            for time, values in _FIRST.items()
        ),
        *(
            pl.col([time, *values]).sort_by(time, nulls_last=False).last()
            for time, values in _LAST.items()
        ),
    )


def _flat_of(new: pl.DataFrame) -> pl.DataFrame:
    time = pl.col("event_time")
    placed = pl.col("gps_lat").is_not_null() & pl.col("gps_lon").is_not_null()
    counted = pl.col("odometer").is_not_null()
    fuelled = time.filter(pl.col("fuel_level").is_not_null())
    lat, lon = pl.col("gps_lat").filter(placed), pl.col("gps_lon").filter(placed)
    odometer = pl.col("odometer").filter(counted)
    return new.group_by(_NUMBER).agg(
        messages=pl.len(),
        conflicts=pl.col("conflict").sum(),
        invalid_values=pl.col("invalid").sum(),
        speed_and_rpm=(pl.col("speed").is_not_null() & pl.col("engine_rpm").is_not_null()).sum(),
        **{f"missing_{name}": is_missing(name).sum() for name in MISSING_SHARES},
        first_event_time=time.first(),
        last_event_time=time.last(),
        fuel_first_time=fuelled.first(),
        fuel_last_time=fuelled.last(),
        speed_max=pl.col("speed").max(),
        rpm_max=pl.col("engine_rpm").max(),
        coolant_max=pl.col("coolant_temp").max(),
        position_first_time=time.filter(placed).first(),
        first_lat=lat.first(),
        first_lon=lon.first(),
        position_last_time=time.filter(placed).last(),
        last_lat=lat.last(),
        last_lon=lon.last(),
        odometer_first_time=time.filter(counted).first(),
        odometer_first=odometer.first(),
        odometer_last_time=time.filter(counted).last(),
        odometer_last=odometer.last(),
    )


def _fuel_of(new: pl.DataFrame) -> pl.DataFrame:
    """How often each level was read in each five minutes of the hour."""
    block = pl.col("event_time").dt.timestamp("ms") % 3_600_000 // FUEL_BLOCK_MS
    return (
        new.filter(pl.col("fuel_level").is_not_null())
        .group_by(_NUMBER, block=block, level="fuel_level")
        .agg(readings=pl.len())
    )


def _gap_changes(
    mine: pl.DataFrame, new: pl.DataFrame, near: pl.DataFrame | None
) -> list[pl.DataFrame]:
    """Sums to add, by vehicle and gap; those taken from where a sample stood are negative."""
    added = new.select(*_MOMENTARY, place=_place(), is_new=True, is_last=False)
    after, before = pl.col("to_next"), pl.col("to_next_known")
    if mine.is_empty():
        return [_sums(_with_gaps(added), after)]
    last = _last_samples(mine).select(*_MOMENTARY, place=_place(), is_new=False, is_last=True)
    parts = [added, last]
    if near is not None:
        # what is new or last may be among what lies near: it comes second there, and is dropped
        parts.append(near.select(*_MOMENTARY, place=_place() + 1, is_new=False, is_last=False))
    line = pl.concat(parts).sort("place")
    if near is not None:
        line = line.filter((pl.col("place") // 2 != pl.col("place").shift() // 2).fill_null(True))
    line = _with_gaps(line)
    # the new samples between two known ones take from the first of these
    moved = line.filter(
        ~pl.col("is_new") & pl.col("next_is_new") & ((after < REACH_MS) | pl.col("is_last"))
    )
    return [
        _sums(line.filter("is_new"), after),
        _sums(moved, after),
        _sums(moved, before).with_columns(-pl.exclude(_NUMBER, "gap")),
    ]


def _with_gaps(line: pl.DataFrame) -> pl.DataFrame:
    """Adds milliseconds to the vehicle's next sample, and to its next one that was known."""
    vehicle, ms = pl.col(_NUMBER), pl.col("event_time").dt.timestamp("ms")
    same = vehicle == vehicle.shift(-1)
    line = line.with_columns(
        to_next=pl.when(same).then(ms.shift(-1) - ms),
        next_is_new=(same & pl.col("is_new").shift(-1)).fill_null(False),
    )
    if line["is_new"].all():
        return line
    row = pl.int_range(pl.len())
    next_known = pl.when(~pl.col("is_new")).then(row).shift(-1).backward_fill()
    return line.with_columns(next_known=next_known).with_columns(
        to_next_known=pl.when(vehicle == vehicle.gather("next_known")).then(
            ms.gather("next_known") - ms
        )
    )


def _gap(ms: pl.Expr) -> pl.Expr:
    tenths = ((ms + GAP_MS // 2) // GAP_MS).clip(upper_bound=LONGER)
    return tenths.fill_null(LAST).cast(pl.Int16)


def _sums(line: pl.DataFrame, ms: pl.Expr) -> pl.DataFrame:
    """Sums over samples by vehicle and gap, once per sample and once weighted by the gap."""
    known = line.select(
        _NUMBER,
        gap=_gap(ms),
        ms=pl.when(ms < REACH_MS).then(ms).otherwise(0),  # of a longer gap it is never asked
        speed=pl.col("speed").cast(pl.Int64),
        rpm=pl.when(pl.col("engine_rpm") > 0).then(
            pl.col("engine_rpm").cast(pl.Int64) - RPM_ORIGIN
        ),
    )
    speed, rpm, ms = pl.col("speed"), pl.col("rpm"), pl.col("ms")
    running = rpm.is_not_null()
    idle, moving = running & (speed < IDLE_BELOW), speed >= IDLE_BELOW
    return known.group_by(_NUMBER, "gap").agg(
        samples=pl.len().cast(pl.Int64),
        ms=ms.sum(),
        speed_samples=speed.count().cast(pl.Int64),
        speed_ms=ms.filter(speed.is_not_null()).sum(),
        speed_sum=speed.sum(),
        speed_sum_ms=(speed * ms).sum(),
        speed_squares=(speed * speed).sum(),
        speed_squares_ms=(speed * speed * ms).sum(),
        running=running.sum().cast(pl.Int64),
        running_ms=ms.filter(running).sum(),
        rpm_sum=rpm.sum(),
        rpm_sum_ms=(rpm * ms).sum(),
        rpm_squares=(rpm * rpm).sum(),
        rpm_squares_ms=(rpm * rpm * ms).sum(),
        idle=idle.sum().cast(pl.Int64),
        idle_ms=ms.filter(idle).sum(),
        moving=moving.sum().cast(pl.Int64),
        moving_ms=ms.filter(moving).sum(),
    )


def _last_samples(states: pl.DataFrame) -> pl.DataFrame:
    """The last sample of each vehicle, as its sums tell it (an engine that stands is unknown)."""
    return (
        exploded(states, "gaps", _NUMBER)
        .filter(pl.col("gap") == LAST)
        .join(states.select(_NUMBER, event_time="last_event_time"), on=_NUMBER)
        .with_columns(
            speed=pl.when(pl.col("speed_samples") == 1).then("speed_sum").cast(pl.Int32),
            engine_rpm=pl.when(pl.col("running") == 1)
            .then(pl.col("rpm_sum") + RPM_ORIGIN)
            .cast(pl.Int32),
        )
    )


def _nested(name: str, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One sorted list per vehicle of what the parts sum up to."""
    fields = _fields(name)
    by = [field for field in fields if field in ("gap", "block", "level")]
    rows = pl.concat([part.select(_NUMBER, *fields).cast(fields) for part in parts])  # type: ignore[arg-type]
    total = rows.group_by(_NUMBER, *by).agg(pl.exclude(by).sum())
    if name == "gaps":
        total = total.filter(pl.col("samples") != 0)
    else:
        first, last = (end.over(_NUMBER) for end in (pl.col("block").min(), pl.col("block").max()))
        total = total.filter((pl.col("block") == first) | (pl.col("block") == last))
    return (
        total.sort(_NUMBER, *by)
        .group_by(_NUMBER, maintain_order=True)
        .agg(pl.struct(list(fields)).alias(name))
    )


def _fields(name: str) -> dict[str, pl.DataType]:
    dtype = VEHICLE_HOUR_STATES.polars_schema[name]
    assert isinstance(dtype, pl.List)
    assert isinstance(dtype.inner, pl.Struct)
    return {field.name: pl.Series(dtype=field.dtype).dtype for field in dtype.inner.fields}
