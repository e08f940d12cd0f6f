"""Virtual vehicles: real drives as another car would have told them.

A fleet has few kinds of vehicles, and a detector that has seen two of them takes what they have in
common for what all have. So drives are told anew as by a car with other gears, another throttle,
another thermostat, devices with other steps, noise and rates, and with sensors that the real one
lacks (`models/made_up.py`). Whole drives are changed alike, so that signals still agree; faults are
injected afterwards. They are for training alone: nothing is ever judged on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.injection.draws import generator
from fleet_assets.injection.signals import GROUPS
from fleet_assets.injection.stretches import M_PER_DEGREE
from fleet_assets.models.made_up import Drive, Values, followed, wandering, with_made_up
from fleet_assets.models.steps import SIGNALS

MARK: Final = "\x1f"
"""Stands between the id of the real vehicle and the number of the virtual one. No real id holds it:
the contract allows no control characters."""
LEAST_ROWS: Final = 200
"""Vehicles with fewer messages have no virtual ones."""
ENOUGH: Final = 36
"""Vehicles of a type, real and virtual, are filled up to about so many: from half of it on the real
ones differ enough by themselves. It bounds what virtual ones cost, whatever the fleet's size."""
MOST_HOURS: Final = 8.0
"""Of driving that a virtual vehicle takes, in whole hours of the clock."""
MOST_EACH: Final = 5
"""Virtual vehicles of a real one; twice as many with half of the hours found no more (0033)."""
_SILENCE_S: Final = 60.0
_STEPS: Final = {
    "engine_rpm": (1, 0.25, 10, 25), "speed": (1, 0.621371192, 0.1),
    "throttle_position": (1, 0.392156863, 0.1), "coolant_temp": (1, 0.1),
    "fuel_level": (1, 0.392156863, 0.1), "engine_load": (1, 0.392156863),
    "battery_voltage": (0.1, 0.01), "oil_pressure": (4, 1), "intake_air_temp": (1, 0.1),
    "ambient_temp": (1, 0.5),
}  # fmt: skip
_LOST: Final = {
    ("throttle_position",): 0.15, ("coolant_temp",): 0.15, ("fuel_level",): 0.3,
    ("engine_load",): 0.2, GROUPS["gps"]: 0.1, GROUPS["accelerometer"]: 0.15,
}  # fmt: skip
"""Chance that a virtual vehicle lacks sensors that the real one has."""
_HELD: Final = (("engine_rpm",), ("throttle_position",), ("speed",), GROUPS["gps"])
_HELD_CHANCE: Final = 0.2
_THINNED_CHANCE: Final = 0.4
_QUICK_S: Final = 1.5
"""Only drives with messages at least so often are thinned."""


def real_of(vehicle_ids: pl.Series) -> pl.Series:
    """The real vehicle that each vehicle goes back to; itself where it is real."""
    return vehicle_ids.str.split(MARK).list.first()


def is_real(rows: pl.DataFrame) -> pl.Series:
    """Which rows, by their `vehicle_id`, are of real vehicles."""
    return rows["vehicle_id"] == real_of(rows["vehicle_id"])


def how_many(types: Mapping[str, str], most_each: int = MOST_EACH) -> dict[str, int]:
    """How many virtual vehicles each real one gets: fewer, the more real ones its type has.

    Args:
        types: vehicle type by vehicle, of those that are trained on.
        most_each: for each real vehicle.

    Returns:
        By vehicle; those that get none are missing.
    """
    sizes = Counter(types.values())
    each = {who: min(most_each, ENOUGH // sizes[kind] - 1) for who, kind in types.items()}
    return {who: number for who, number in each.items() if number > 0}


def virtual_vehicles(
    telemetry: pl.DataFrame, each: Mapping[str, int], seed: int, *, most_hours: float = MOST_HOURS
) -> pl.DataFrame:
    """Several virtual vehicles for each real one.

    The same rows, numbers and seed give the same vehicles; vehicles do not depend on each other.

    Args:
        telemetry: rows of `telemetry`: `vehicle_id`, `event_time`, `conflict`, `null_signals` and
            any of `steps.SIGNALS`, healthy. Whole histories: a vehicle's drives are changed alike.
        each: how many by real vehicle, as `how_many` says; those that are missing get none.
        seed: another one makes other vehicles.
        most_hours: as MOST_HOURS.

    Returns:
        `vehicle_id` (real id, MARK, number), `event_time`, `conflict`, `null_signals` and SIGNALS
        as floats, in order of vehicle and time.
    """
    parts = [
        _virtual(rows, generator("virtual", seed, name, number), number, most_hours)
        for (name,), rows in telemetry.sort("vehicle_id", "event_time").group_by(
            "vehicle_id", maintain_order=True
        )
        if rows.height >= LEAST_ROWS
        for number in range(each.get(str(name), 0))
    ]
    nothing = pl.DataFrame(schema=dict.fromkeys(SIGNALS, pl.Float64))
    keys = telemetry.select("vehicle_id", "event_time", "conflict", "null_signals").clear()
    return pl.concat([pl.concat([keys, nothing], how="horizontal"), *parts])


def _virtual(
    rows: pl.DataFrame, random: np.random.Generator, number: int, most_hours: float
) -> pl.DataFrame:
    rows = rows.filter(_hours(rows["event_time"], random, most_hours))
    drive = Drive(_seconds(rows), _signals(rows))
    told = with_made_up(drive, random)
    told = _quantised(_devices(_car(told, drive, random), drive, random), random)
    _lose(told, random)
    keys = rows.select(
        pl.col("vehicle_id") + f"{MARK}{number}", "event_time", "conflict", "null_signals"
    )
    signals = [
        pl.Series(name, told[name]).fill_nan(None)
        if name in told
        else pl.Series(name, [None] * rows.height, dtype=pl.Float64)
        for name in SIGNALS
    ]
    return keys.hstack(signals).filter(pl.Series(_kept(drive, random)))


def _hours(times: pl.Series, random: np.random.Generator, most_hours: float) -> pl.Series:
    """Rows of the hours that are chosen, by chance."""
    hours = times.dt.truncate("1h")
    gaps = times.diff().dt.total_microseconds() / 1e6
    driven = float(gaps.filter(gaps <= _SILENCE_S).sum() or 0) / 3600
    each = hours.unique().sort()
    kept = random.random(len(each)) < most_hours / max(driven, 1e-9)
    kept[random.integers(len(each))] = True
    return hours.is_in(each.filter(pl.Series(kept)).to_list())


def _seconds(rows: pl.DataFrame) -> Values:
    return rows["event_time"].dt.epoch("us").to_numpy() / 1e6


def _signals(rows: pl.DataFrame) -> dict[str, Values]:
    sound = ~rows["conflict"]
    there = [n for n in SIGNALS if n in rows.columns and rows[n].null_count() < rows.height]
    return {
        name: rows.select(pl.when(sound).then(pl.col(name).cast(pl.Float64)))
        .to_series().fill_null(np.nan).to_numpy(writable=True)
        for name in there
    }  # fmt: skip


def _car(
    signals: dict[str, Values], drive: Drive, random: np.random.Generator
) -> dict[str, Values]:
    """As another car would have driven it: gears, idle, tyres, throttle, thermostat, tank."""
    told = dict(signals)
    between = random.uniform
    if "engine_rpm" in told:
        coupled = np.clip(drive.mph / 10, 0, 1)
        factor = between(0.85, 1.2) * (1 - coupled) + np.exp(between(-0.35, 0.35)) * coupled
        unrest = random.normal(0, between(0, 8), len(coupled))
        told["engine_rpm"] = np.where(
            told["engine_rpm"] > 0, told["engine_rpm"] * factor + unrest, told["engine_rpm"]
        )
    if "speed" in told:
        told["speed"] = told["speed"] * (1 + between(-0.01, 0.03))
    if "throttle_position" in told:
        closed, curve = between(0, 15), np.exp(between(-0.5, 0.5))
        opened = np.clip(told["throttle_position"] / 100, 0, 1) ** curve
        told["throttle_position"] = closed + (between(70, 95) - closed) * opened
    if "engine_load" in told:
        told["engine_load"] = told["engine_load"] * between(0.8, 1.1)
    if "coolant_temp" in told:
        warm = np.clip((told["coolant_temp"] - 20) / 70, 0, 1.2)
        told["coolant_temp"] = told["coolant_temp"] + between(-10, 12) * warm
        if random.random() < 0.5:
            told["coolant_temp"] = followed(told["coolant_temp"], drive.seconds, between(1, 40))
    if "fuel_level" in told:
        share = between(0.5, 1)
        told["fuel_level"] = told["fuel_level"] * share + between(0, 100 * (1 - share))
    return told


def _devices(
    signals: dict[str, Values], drive: Drive, random: np.random.Generator
) -> dict[str, Values]:
    """As other devices would have measured it: receiver, mounting, how often a reading is new."""
    told = dict(signals)
    between = random.uniform
    if "gps_lat" in told:
        size, holds = between(0.3, 3), random.random() < 0.5
        shrink = np.cos(np.radians(np.nanmedian(told["gps_lat"])))
        metres = {"gps_lat": M_PER_DEGREE, "gps_lon": M_PER_DEGREE * max(float(shrink), 0.1)}
        moving = np.maximum.accumulate(np.where(drive.mph < 0.5, 0, np.arange(len(drive.mph))))
        for name, per_degree in metres.items():
            off = wandering(random, drive.seconds, between(20, 120)) * 2 * size
            off += random.normal(0, 0.15 * size, len(off))
            fix = told[name] + off / per_degree
            told[name] = fix[moving] if holds else fix
    if all(name in told for name in GROUPS["accelerometer"]):
        turned = np.array([told[name] for name in GROUPS["accelerometer"]])
        for one, other, most in ((0, 1, 0.12), (0, 2, 0.06), (1, 2, 0.06)):
            angle = between(-most, most)
            turned[[one, other]] = (
                turned[one] * np.cos(angle) - turned[other] * np.sin(angle),
                turned[one] * np.sin(angle) + turned[other] * np.cos(angle),
            )
        turned = turned * between(0.95, 1.05) + random.normal(0, between(0, 0.25), turned.shape)
        told |= dict(zip(GROUPS["accelerometer"], turned, strict=True))
    for names in _HELD:
        if random.random() < _HELD_CHANCE:
            every = int(random.integers(2, 4))
            at = np.arange(len(drive.mph)) // every * every
            told |= {name: told[name][at] for name in names if name in told}
    return told


def _quantised(signals: dict[str, Values], random: np.random.Generator) -> dict[str, Values]:
    """In steps of devices, within the bounds of the contract and with its digits."""
    found = {}
    for name, values in signals.items():
        contract = SIGNAL_BY_NAME[name]
        steps = _STEPS.get(name, (10.0**-contract.scale,))
        step = steps[random.integers(len(steps))]
        bounded = np.clip(np.round(values / step) * step, contract.minimum, contract.maximum)
        found[name] = np.round(bounded, contract.scale)
    return found


def _lose(signals: dict[str, Values], random: np.random.Generator) -> None:
    for names, chance in _LOST.items():
        if random.random() < chance:
            for name in names:
                signals.pop(name, None)


def _kept(drive: Drive, random: np.random.Generator) -> NDArray[np.bool_]:
    """Rows that a device with a slower rate would have sent."""
    every = int(random.choice([2, 5])) if random.random() < _THINNED_CHANCE else 1
    if np.median(np.diff(drive.seconds)) > _QUICK_S:
        every = 1
    return np.asarray(np.arange(len(drive.seconds)) % every == 0)
