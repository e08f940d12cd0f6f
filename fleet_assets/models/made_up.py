"""Sensors that a vehicle lacks, made up from those that it has by simple physics, for training.

Positions and accelerations follow from wheel speed and invented turns; temperatures, voltage, oil
and fuel from how the engine works. They are no better than a simulator's, but the drives are real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.injection.stretches import M_PER_DEGREE

Values = NDArray[np.float64]
_MPS_PER_MPH: Final = 0.44704
_SILENCE_S: Final = 60.0
_RUNNING_RPM: Final = 300.0
_TURN_EVERY_S: Final = 60.0
_GRAVITY: Final = 9.81


@dataclass(frozen=True)
class Drive:
    """Drives of one real vehicle.

    Attributes:
        seconds: event times since 1970, rising.
        signals: known numbers by name, NaN where unknown.
    """

    seconds: Values
    signals: Mapping[str, Values]

    @cached_property
    def passed_s(self) -> Values:
        """Seconds since the message before; 1 at the first and after a silence."""
        passed = np.diff(self.seconds, prepend=self.seconds[:1] - 1)
        return np.where(passed > _SILENCE_S, 1.0, passed)

    @cached_property
    def drive(self) -> NDArray[np.int64]:
        """The number of each message's drive; silences lie between drives."""
        return np.cumsum(np.diff(self.seconds, prepend=self.seconds[:1]) > _SILENCE_S)

    @cached_property
    def mph(self) -> Values:
        """Wheel speed, 0 where it is unknown; over three messages, as whole miles come in steps."""
        given = self.signals.get("speed")
        if given is None:
            return np.zeros(len(self.seconds))
        frame = pl.DataFrame({"mph": given, "drive": self.drive}).fill_nan(None)
        smooth = pl.col("mph").rolling_mean(3, center=True, min_samples=1).over("drive")
        return frame.select(smooth.fill_null(0)).to_series().to_numpy()

    @cached_property
    def rpm(self) -> Values:
        """Engine speed; guessed by wheel speed where it is unknown."""
        guessed = np.where(self.mph > 1, 900 + 40 * self.mph, 800)
        given = self.signals.get("engine_rpm")
        return guessed if given is None else np.where(np.isnan(given), guessed, given)

    @cached_property
    def heat(self) -> Values:
        """What the engine gives off, about 1 in town."""
        return np.where(self.rpm > _RUNNING_RPM, 0.35 + self.rpm / 2500, 0)


def followed(target: Values, seconds: Values, time_constant_s: float) -> Values:
    """What follows a target as a first-order system does; unknown stays unknown."""
    frame = pl.DataFrame({"target": target, "at": np.round(seconds * 1e6).astype(np.int64)})
    half_life_us = max(round(time_constant_s * np.log(2) * 1e6), 1)
    found = pl.col("target").fill_nan(None).ewm_mean_by("at", half_life=f"{half_life_us}i")
    return np.where(np.isnan(target), np.nan, frame.select(found).to_series().to_numpy())


def wandering(random: np.random.Generator, seconds: Values, time_constant_s: float) -> Values:
    """Noise that changes slowly, with a spread of 1."""
    found = followed(random.normal(0, 1, len(seconds)), seconds, time_constant_s)
    return np.asarray(found / max(float(np.std(found)), 1e-9))


def with_made_up(drive: Drive, random: np.random.Generator) -> dict[str, Values]:
    """The signals, and by chance some that the vehicle lacks."""
    told = dict(drive.signals)
    made = _motion(drive, random) | _engine(drive, random)
    for names, chance in _CHANCES.items():
        if random.random() < chance and not any(name in told for name in names):
            told |= {name: made[name] for name in names if name in made}
    return told


_CHANCES: Final = {
    ("gps_lat", "gps_lon"): 0.7, ("accel_x", "accel_y", "accel_z"): 0.7, ("engine_load",): 0.5,
    ("coolant_temp",): 0.8, ("fuel_level",): 0.5, ("battery_voltage",): 0.5,
    ("ambient_temp",): 0.5, ("intake_air_temp",): 0.5, ("oil_pressure",): 0.4,
}  # fmt: skip


def _motion(drive: Drive, random: np.random.Generator) -> dict[str, Values]:
    """Positions and accelerations along a way with turns that hang on the speed."""
    count, mps = len(drive.seconds), drive.mph * _MPS_PER_MPH
    turning = np.zeros(count)
    for at in random.integers(0, count, int(drive.passed_s.sum() / _TURN_EVERY_S) + 1):
        turning[at : at + random.integers(3, 10)] = random.uniform(-0.25, 0.25)
    turning *= np.where(mps > 1, np.minimum(1, 8 / np.maximum(mps, 1)), 0)
    heading = np.cumsum(turning * drive.passed_s) + random.uniform(0, 2 * np.pi)
    way = mps * drive.passed_s
    lat, lon = random.uniform(-55, 60), random.uniform(-150, 150)
    gained = np.diff(mps, prepend=mps[:1]) / np.maximum(drive.passed_s, 0.02)
    slope = wandering(random, drive.seconds, 60) * 0.25
    return {
        "gps_lat": lat + np.cumsum(way * np.cos(heading)) / M_PER_DEGREE,
        "gps_lon": lon
        + np.cumsum(way * np.sin(heading)) / (M_PER_DEGREE * np.cos(np.radians(lat))),
        "accel_x": np.clip(gained, -6, 6) + slope + random.normal(0, 0.12, count),
        "accel_y": mps * turning + random.normal(0, 0.15, count),
        "accel_z": _GRAVITY + random.normal(0, 1, count) * (0.08 + 0.015 * mps),
    }


def _engine(drive: Drive, random: np.random.Generator) -> dict[str, Values]:
    """What hangs on how the engine works."""
    between, count, seconds = random.uniform, len(drive.seconds), drive.seconds
    outside = between(-5, 32)
    is_on = drive.heat > 0
    burnt = np.cumsum(drive.heat * drive.passed_s)
    slosh = followed(np.gradient(drive.mph) * between(0, 1.5), seconds, between(3, 40))
    charged = between(13.7, 14.4) - 0.15 * np.exp(-drive.rpm / 900)
    charged += wandering(random, seconds, 90) * 0.1 + random.normal(0, between(0.01, 0.08), count)
    soak = followed(np.clip(25 - 0.5 * drive.mph, 3, 25), seconds, between(60, 240))
    oil = between(90, 140) + drive.rpm * between(0.08, 0.12) + random.normal(0, 8, count)
    return _load(drive, random) | {
        "coolant_temp": _coolant(drive, random, burnt, outside),
        "fuel_level": between(40, 95) - burnt / 3600 * between(2, 6) + slosh,
        "battery_voltage": np.where(is_on, charged, between(12.3, 12.7)),
        "ambient_temp": outside + wandering(random, seconds, 600) * 2,
        "intake_air_temp": outside + soak * between(0.5, 1.1) + random.normal(0, 0.3, count),
        "oil_pressure": np.where(is_on, oil, 0),
    }


def _coolant(drive: Drive, random: np.random.Generator, burnt: Values, outside: float) -> Values:
    """It warms up with what is burnt in a drive, then stays about where the thermostat opens."""
    first = np.flatnonzero(np.diff(drive.drive, prepend=-1))
    warmth = random.choice([0, 0, 600, 1500], len(first)) + random.uniform(0, 200)
    since = burnt - burnt[first][drive.drive] + warmth[drive.drive]
    opens = random.uniform(80, 95)
    risen = np.clip(1.05 * (1 - np.exp(-since / random.uniform(250, 450))), 0, 1)
    level = outside + (opens - outside) * risen
    work = 2 * (drive.heat - 0.9) - 0.03 * (drive.mph - 25) + random.normal(0, 1.5, len(level))
    swing = followed(work, drive.seconds, random.uniform(40, 120)) * random.uniform(0.5, 2)
    return np.asarray(level + swing * np.clip((level - 60) / 20, 0, 1))


def _load(drive: Drive, random: np.random.Generator) -> dict[str, Values]:
    throttle = drive.signals.get("throttle_position")
    if throttle is None:
        return {}
    closed, opened = np.nanquantile(throttle, [0.02, 0.995])
    air = np.clip((throttle - closed) / max(opened - closed, 1), 0, 1)
    load = 18 + 80 * (air / np.clip(drive.rpm / 3000, 0.2, 2)) ** 0.7
    noise = random.normal(0, 2, len(load))
    return {"engine_load": np.where(drive.heat > 0, np.clip(load + noise, 0, 100), 0)}
