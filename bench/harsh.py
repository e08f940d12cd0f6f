"""Harsh events at 51, 10 and 1 Hz of the same drives: how many are found, how many are false.

`python -m bench.harsh [HOURS]`: a driver brakes, accelerates and corners, harshly and as people do,
over potholes, speed bumps and rough roads, with an accelerometer that is mounted askew and a wheel
speed in whole km/h. Devices sample the moment, without a filter. Beside the rules stands the
threshold that any single sample may pass.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.detect import pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.detectors.acceleration import MPH, G
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.resolve import VEHICLE_SCHEMA, InForce, resolve
from fleet_assets.rules.samples import Samples

Numbers = NDArray[np.float64]
KINDS: Final = ("harsh_braking", "harsh_acceleration", "harsh_cornering")
LIMITS_G: Final = {"harsh_braking": 0.47, "harsh_acceleration": 0.40, "harsh_cornering": 0.45}
"""Of sedans, as RULES has them."""
RATES_HZ: Final = (51.0, 10.0, 1.0)
_START: Final = datetime(2026, 2, 1, 5, tzinfo=UTC)
_FINE_HZ: Final = 500
_NOISE_G: Final = 0.03
_ROUGH_G: Final = 0.18
_ASKEW_G: Final = (0.05, -0.04)
_KMH: Final = 0.621371
_BEFORE_S: Final = 1.0
_AFTER_S: Final = 2.5
"""A finding is of a manoeuvre if it begins so long before or after it at most: slopes look back."""


@dataclass(frozen=True)
class Road:
    """What happened, as a function of time.

    Attributes:
        time_s: knots of the accelerations.
        forward_g: along the vehicle.
        left_g: across it.
        truth: kind, start and end in seconds of the harsh manoeuvres.
        shocks: start, length in seconds, and height in g of potholes and bumps.
        rough: start and end in seconds of bad roads.
    """

    time_s: Numbers
    forward_g: Numbers
    left_g: Numbers
    truth: tuple[tuple[str, float, float], ...]
    shocks: Numbers
    rough: Numbers

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return float(self.time_s[-1])


def main(hours: str = "4") -> None:
    """Prints recall and false alarms per hour by rate."""
    road = drive(float(hours) * 3600, seed=7)
    counts = {kind: sum(1 for found, *_ in road.truth if found == kind) for kind in KINDS}
    told = ", ".join(f"{count} × {kind}" for kind, count in counts.items())
    table = Table(
        "rate", "by", *(f"recall {kind[6:]}" for kind in KINDS), "false alarms/h",
        title=f"{road.seconds / 3600:.1f} h, {told}, {len(road.shocks)} shocks",
    )  # fmt: skip
    for rate_hz in RATES_HZ:
        for name, has_accelerometer in (("accelerometer", True), ("wheel speed alone", False)):
            rows = sampled(road, rate_hz, has_accelerometer=has_accelerometer)
            recall, alarms = score(road, found_in(rows))
            shares = _shares(recall)
            if not has_accelerometer:
                shares[-1] = "–"  # it says nothing of corners
            table.add_row(f"{rate_hz:g} Hz", name, *shares, f"{alarms:.1f}")
        recall, alarms = score(road, single_samples(sampled(road, rate_hz)))
        table.add_row(f"{rate_hz:g} Hz", "any one sample", *_shares(recall), f"{alarms:.1f}")
    Console(width=120).print(table)


def drive(seconds: float, seed: int) -> Road:
    """Manoeuvres of a driver, one after the other, some harsh and some not."""
    random = np.random.default_rng(seed)
    knots: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]
    truth: list[tuple[str, float, float]] = []
    at, speed = 150.0, 0.0  # it stands at first, so that the mounting can be told

    def go(forward_g: float, left_g: float, lasts: float, ramp: float = 0.25) -> None:
        nonlocal at, speed
        knots.extend([
            (at, 0.0, 0.0), (at + ramp, forward_g, left_g),
            (at + ramp + lasts, forward_g, left_g), (at + 2 * ramp + lasts, 0.0, 0.0),
        ])  # fmt: skip
        at += 2 * ramp + lasts
        speed = max(speed + forward_g * G * (lasts + ramp), 0.0)

    while at < seconds - 60:
        kind = str(random.choice(KINDS))
        harsh = bool(random.random() < 0.4)
        share = random.uniform(1.12, 1.6) if harsh else random.uniform(0.3, 0.8)
        size, lasts = share * LIMITS_G[kind], random.uniform(1.5, 3.0)
        change = size * G * (lasts + 0.25)
        if kind == "harsh_braking" and speed < change + 1:
            go(0.18, 0.0, (change + 2 - speed) / (0.18 * G))
        if kind == "harsh_acceleration" and speed + change > 38:
            go(-0.2, 0.0, speed / (0.2 * G) - 0.25)
        at += random.uniform(4, 12)
        began = at
        forward = {"harsh_braking": -size, "harsh_acceleration": size}.get(kind, 0.0)
        left = size * float(random.choice([-1, 1])) if kind == "harsh_cornering" else 0.0
        go(forward, left, lasts)
        if harsh:
            truth.append((kind, began, at))
        at += random.uniform(8, 30)
    knots.append((seconds, 0.0, 0.0))
    time_s, forward_g, left_g = (np.array(column) for column in zip(*knots, strict=True))
    count = int(seconds / 45)
    potholes = [random.uniform(160, seconds, count), random.uniform(0.02, 0.04, count)]
    heights = random.uniform(0.5, 2.0, count) * random.choice([-1, 1], count)
    bumps = [random.uniform(160, seconds, count // 3), random.uniform(0.15, 0.25, count // 3)]
    low = random.uniform(0.3, 0.6, count // 3)
    shocks = np.array([np.append(p, b) for p, b in zip(
        [*potholes, heights], [*bumps, low], strict=True)]).T  # fmt: skip
    rough = random.uniform(160, seconds - 30, int(seconds / 240))
    return Road(
        time_s, forward_g, left_g, tuple(truth), shocks, np.column_stack([rough, rough + 15])
    )


def sampled(
    road: Road, rate_hz: float, *, has_accelerometer: bool = True, seed: int = 1
) -> Samples:
    """What a device sends at a rate."""
    random = np.random.default_rng(seed)
    when = np.arange(0, road.seconds, 1 / rate_hz)
    fine = np.arange(0, road.seconds, 1 / _FINE_HZ)
    gained = np.cumsum(np.interp(fine, road.time_s, road.forward_g)) * G / _FINE_HZ
    gained -= np.minimum.accumulate(np.minimum(gained, 0))  # it does not roll backwards
    mph = np.interp(when, fine, gained) / MPH
    signals = {
        "speed": np.round(mph / _KMH) * _KMH,
        "engine_rpm": 900 + mph * 30 + random.normal(0, 15, len(when)),
    }
    if has_accelerometer:
        stands = mph < 0.3
        is_rough = ((when[:, None] >= road.rough[:, 0]) & (when[:, None] < road.rough[:, 1])).any(1)
        spread = np.where(is_rough & ~stands, _ROUGH_G, _NOISE_G)
        for axis, profile, askew in zip(
            ("accel_x", "accel_y"), (road.forward_g, road.left_g), _ASKEW_G, strict=True
        ):
            felt = np.interp(when, road.time_s, profile)
            felt[stands] = 0
            for start, lasts, height in road.shocks:
                first, last = np.searchsorted(when, [start, start + lasts])
                phase = (when[first:last] - start) / lasts
                felt[first:last] += height * np.sin(2 * np.pi * phase)
            signals[axis] = (felt + askew + random.normal(0, 1, len(when)) * spread) * G
    count = len(when)
    start_us = round(_START.timestamp() * 1e6)
    return Samples(
        pl.Series("vehicle_id", ["v1"]), np.zeros(count, np.int32),
        start_us + np.rint(when * 1e6).astype(np.int64), signals, {}, np.zeros(count, np.bool_),
    )  # fmt: skip


def found_in(samples: Samples) -> pl.DataFrame:
    """What the rules find: kind and seconds from the start."""
    car = {"vehicle_id": "v1", "valid_from": _START, "vehicle_type": "sedan", "status": "active"}
    catalogue = read_catalogue()
    known = InForce(pl.DataFrame([car], schema=VEHICLE_SCHEMA))
    limits = resolve(catalogue, samples, known)
    found = findings_of(pieces_of(samples, limits, DETECTORS), catalogue)
    repeated = [rule.id for rule in catalogue.rules if rule.repeats]
    seconds = {
        name: (pl.col(f"{name}ed_at") - pl.lit(_START).cast(TIME)).dt.total_microseconds() / 1e6
        for name in ("start", "end")
    }
    return found.filter(
        pl.col("anomaly_type").is_in(KINDS) & ~pl.col("rule_id").is_in(repeated)
    ).select(kind="anomaly_type", **seconds)


def single_samples(samples: Samples) -> pl.DataFrame:
    """Every run of samples of which each passes the limit by itself."""
    parts = []
    when = (samples.time_us - samples.time_us[0]) / 1e6
    forward, left = samples.of("accel_x") / G, samples.of("accel_y") / G
    measures = dict(zip(KINDS, (-forward, forward, np.abs(left)), strict=True))
    for kind, measure in measures.items():
        over = np.concatenate([[False], measure >= LIMITS_G[kind], [False]])
        edges = np.flatnonzero(over[1:] != over[:-1])
        starts, ends = when[edges[::2]], when[edges[1::2] - 1]
        parts.append(pl.DataFrame({"kind": [kind] * len(starts), "start": starts, "end": ends}))
    return pl.concat(parts)


def score(road: Road, found: pl.DataFrame) -> tuple[dict[str, float], float]:
    """Share of the harsh manoeuvres that were found, by kind, and false alarms per hour."""
    recall, alarms = {}, 0
    for kind in KINDS:
        true = np.array([(start, end) for of, start, end in road.truth if of == kind])
        mine = found.filter(pl.col("kind") == kind)
        start, end = mine["start"].to_numpy(), mine["end"].to_numpy()
        meets = (start[:, None] <= true[:, 1] + _AFTER_S) & (end[:, None] >= true[:, 0] - _BEFORE_S)
        recall[kind] = float(meets.any(axis=0).mean())
        alarms += int((~meets.any(axis=1)).sum())
    return recall, alarms / (road.seconds / 3600)


def _shares(recall: dict[str, float]) -> list[str]:
    return [f"{recall[kind]:.0%}" for kind in KINDS]


if __name__ == "__main__":
    main(*sys.argv[1:2])
