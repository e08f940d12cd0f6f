"""What each kind of fault does to the values of its signals.

An effect gets the rows of a fault with the margin before it, and gives the values within the
fault; unknown stays unknown. Values may leave a signal's bounds and steps: `on_the_wire` sees to
that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.injection.draws import generator
from fleet_assets.injection.scene import Fault, Scene
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import M_PER_DEGREE, Values

KEEP_VALUES: Final = ("stuck", "delay", "dropout", "sensor_swap")
"""Kinds that show values of another time or sensor, or none: nothing is computed."""
SPIKE_EVERY_S: Final = 10.0
_LEAST_REPEATS: Final = 3
"""Values that stay the same for fewer rows are read anew each time."""
_LONGEST_HOLD_S: Final = 5.0
_FIT_S: Final = 8.0
"""How long the engine misfires, and then does not, on the average."""
_THERMOSTAT_ACTS: Final = 0.65
"""Share of the fault until the thermostat frees itself."""
_INERTIA: Final = 0.1
"""Time constant of the coolant as a share of the fault: at the end hardly anything is left."""


Effect = Callable[[Fault, Scene], dict[str, Values]]


def effect_of(fault: Fault, scene: Scene) -> dict[str, Values]:
    """New values of the fault's signals within the fault."""
    return EFFECTS[fault.kind](fault, scene)


def _bias(fault: Fault, scene: Scene) -> dict[str, Values]:
    return {name: scene.within(name) + fault.signed for name in signals_of(fault.subject)}


def _drift(fault: Fault, scene: Scene) -> dict[str, Values]:
    if fault.subject == "gps":
        return _moved(scene, *_bearing(fault, scene.progress * fault.amount))
    off = scene.progress * fault.signed
    return {name: scene.within(name) + off for name in signals_of(fault.subject)}


def _scale(fault: Fault, scene: Scene) -> dict[str, Values]:
    factor = 1 + fault.signed / 100
    return {name: scene.within(name) * factor for name in signals_of(fault.subject)}


def _noise(fault: Fault, scene: Scene) -> dict[str, Values]:
    random = generator(fault.fault_id)
    count = len(scene.seconds)
    if fault.subject == "gps":
        return _moved(scene, *random.normal(0, fault.amount, (2, count)))
    names = signals_of(fault.subject)
    off = random.normal(0, fault.amount, (len(names), count))
    return {
        name: scene.within(name) + off[n][_updates(name, scene)] for n, name in enumerate(names)
    }


def _updates(name: str, scene: Scene) -> NDArray[np.int64]:
    """For each row the number of the reading that it tells, from 0.

    Vehicles send a reading again until the sensor has a new one; what is random in it is sent
    again, too. How long that takes is how long values usually stay the same.
    """
    values, seconds = scene.within(name), scene.seconds
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    rows = np.diff(np.append(first, len(values)))
    if np.median(rows) < _LEAST_REPEATS:
        return np.arange(len(values))
    hold_s = min(float(np.median(rows) * np.median(np.diff(seconds))), _LONGEST_HOLD_S)
    since_s = seconds - np.repeat(seconds[first], rows)
    run = np.repeat(np.arange(len(first)), rows)
    is_new = np.append(False, (np.diff(run) != 0) | (np.diff(since_s // hold_s) != 0))
    return np.cumsum(is_new)


def _spike(fault: Fault, scene: Scene) -> dict[str, Values]:
    random = generator(fault.fault_id)
    names = signals_of(fault.subject)
    known = np.flatnonzero(~np.isnan(np.sum([scene.within(name) for name in names], axis=0)))
    block = scene.seconds[known] // SPIKE_EVERY_S
    rank = random.permutation(len(known))
    by_block = np.lexsort((rank, block))
    first = np.append(True, np.diff(block[by_block]) != 0)
    chosen = known[by_block[first]]
    off = np.zeros(len(scene.seconds))
    off[chosen] = fault.amount * random.choice([-1.0, 1.0], len(chosen))
    return {name: scene.within(name) + off for name in names}


def _stuck(fault: Fault, scene: Scene) -> dict[str, Values]:
    return {name: _held(scene.within(name)) for name in signals_of(fault.subject)}


def _held(values: Values) -> Values:
    known = ~np.isnan(values)
    return np.where(known, values[np.argmax(known)], np.nan)


def _delay(fault: Fault, scene: Scene) -> dict[str, Values]:
    source = np.searchsorted(scene.time_s, scene.seconds - fault.amount, side="right") - 1
    found = {}
    for name in signals_of(fault.subject):
        values = scene.signals[name]
        last_known = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
        at = last_known[np.maximum(source, 0)]
        late = np.where(at >= 0, values[np.maximum(at, 0)], scene.within(name))
        found[name] = np.where(np.isnan(scene.within(name)), np.nan, late)
    return found


def _dropout(fault: Fault, scene: Scene) -> dict[str, Values]:
    return {name: np.full(len(scene.seconds), np.nan) for name in signals_of(fault.subject)}


def _gps_jump(fault: Fault, scene: Scene) -> dict[str, Values]:
    return _moved(scene, *_bearing(fault, np.full(len(scene.seconds), fault.amount)))


def _bearing(fault: Fault, metres: Values) -> tuple[Values, Values]:
    """Metres north and east, in a direction that hangs on the fault."""
    angle = generator(fault.fault_id, "bearing").uniform(0, 2 * np.pi)
    return metres * np.cos(angle), metres * np.sin(angle)


def _moved(scene: Scene, north: Values, east: Values) -> dict[str, Values]:
    lat, lon = scene.within("gps_lat"), scene.within("gps_lon")
    per_degree = M_PER_DEGREE * np.maximum(np.cos(np.radians(lat)), 1e-6)
    return {"gps_lat": lat + north / M_PER_DEGREE, "gps_lon": lon + east / per_degree}


def _sensor_swap(fault: Fault, scene: Scene) -> dict[str, Values]:
    one, other = signals_of(fault.subject)
    a, b = scene.within(one), scene.within(other)
    unknown = np.isnan(a) | np.isnan(b)
    return {one: np.where(unknown, a, b), other: np.where(unknown, b, a)}


def _thermostat(fault: Fault, scene: Scene) -> dict[str, Values]:
    name, full = ("engine_rpm", 2500.0) if fault.is_up else ("speed", 40.0)
    load = np.full(len(scene.seconds), 0.5)
    if name in scene.signals:
        load = np.nan_to_num(scene.within(name) / full, nan=0.5).clip(0, 1)
    target = np.where(scene.progress < _THERMOSTAT_ACTS, 0.6 + 0.4 * load, 0.0)
    target[0] = 0
    off = _followed(target, scene.seconds, _INERTIA * float(scene.seconds[-1]))
    off *= fault.signed / max(float(off.max()), 1e-9)
    return {"coolant_temp": scene.within("coolant_temp") + off}


def _followed(target: Values, seconds: Values, time_constant_s: float) -> Values:
    """What follows a target as a first-order system does."""
    frame = pl.DataFrame({"target": target, "at": (seconds * 1e6).round().astype(np.int64)})
    half_life_us = max(round(time_constant_s * np.log(2) * 1e6), 1)
    followed = pl.col("target").ewm_mean_by("at", half_life=f"{half_life_us}i")
    return frame.select(followed).to_series().to_numpy(writable=True)


def _misfire(fault: Fault, scene: Scene) -> dict[str, Values]:
    random = generator(fault.fault_id)
    seconds = scene.seconds
    edges = np.cumsum(random.exponential(_FIT_S, 16 + int(seconds[-1] / _FIT_S * 2)))
    is_fit = np.searchsorted(edges, seconds) % 2 == 0
    depths = random.beta(1.2, 1.6, len(seconds))
    depth = np.where(is_fit, depths[_updates("engine_rpm", scene)], 0)
    depth *= fault.amount / 100 / max(float(depth.max()), 1e-9)
    return {"engine_rpm": scene.within("engine_rpm") * (1 - depth)}


def _fuel_leak(fault: Fault, scene: Scene) -> dict[str, Values]:
    return {"fuel_level": scene.within("fuel_level") - scene.seconds * fault.amount / 3600}


EFFECTS: Final[Mapping[str, Effect]] = {
    "bias": _bias,
    "drift": _drift,
    "scale": _scale,
    "noise": _noise,
    "spike": _spike,
    "stuck": _stuck,
    "delay": _delay,
    "dropout": _dropout,
    "gps_jump": _gps_jump,
    "sensor_swap": _sensor_swap,
    "thermostat": _thermostat,
    "misfire": _misfire,
    "fuel_leak": _fuel_leak,
}
