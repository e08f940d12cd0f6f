"""The same drive gives nearly the same features at any rate, on drawn and on real trips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pytest
import zstandard
from feature_rows import rows
from numpy.typing import NDArray

from fleet_assets.features.catalogue import read_features
from fleet_assets.features.kernel import RAW_SIGNALS, feature_windows

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real_trips.ndjson.zst"
SECONDS: Final = 600
TOLERANCE: Final[Mapping[str, tuple[float, float]]] = {
    "level": (0.02, 0.3),
    "spread": (0.12, 0.3),
    "slope": (0.1, 0.35),
    "extreme": (0.1, 1.0),
    "share of time": (0, 0.02),
    "harsh events": (0, 0),
    "agreement": (0.05, 0.35),
    "stuckness": (0, 0.04),
    "missingness": (0, 0.03),
}
"""By group, relative and absolute difference from 1 Hz that is near enough."""
NEAR: Final[Mapping[str, tuple[float, float]]] = {
    "rpm_per_mph_change_60s": (0.3, 1.5), "rpm_per_mph_60s": (0.05, 2.0),
    "speed_repeat_share_60s": (0, 0.08),
}  # fmt: skip


def drive(rate_hz: float) -> pl.DataFrame:
    """Standing, away, a wave of speed with one harsh braking, standing again."""
    t = np.arange(round(SECONDS * rate_hz)) / rate_hz
    fine = np.arange(SECONDS * 50) / 50
    speed = np.interp(t, fine, _speed(fine))
    path_m = np.interp(t, fine, np.cumsum(_speed(fine)) * 0.44704 / 50)
    rpm = 800 + speed * 45 + 30 * np.sin(t * 2 * np.pi / 47)
    signals = {
        "engine_rpm": rpm.round(2), "speed": speed.round(2),
        "throttle_position": (12 + speed / 2).round(2), "engine_load": (20 + speed / 1.5).round(2),
        "coolant_temp": (60 + t / 20).round(2), "fuel_level": (70 - t / 100).round(2),
        "battery_voltage": (14 + 0.3 * np.sin(t * 2 * np.pi / 53)).round(3),
        "gps_lat": (41.6 + path_m / 111_195.08).round(6), "gps_lon": np.full(len(t), -93.6),
        "accel_x": (np.gradient(speed, t) * 0.44704 + 0.3).round(3),
        "accel_y": np.where((t >= 200) & (t < 205), 4.0, 0.1),
        "accel_z": (9.8 + np.sin(t * 2 * np.pi / 37)).round(3),
    }  # fmt: skip
    return rows(list(t), **{name: values.tolist() for name, values in signals.items()})


def _speed(t: NDArray[np.float64]) -> NDArray[np.float64]:
    wave = 40 + 12 * np.sin((t - 100) * 2 * np.pi / 90)
    return np.asarray(np.interp(t, [0, 100, 130, 400, 404, 600], [0, 0, 1, 1, 0, 0]) * wave)


@pytest.mark.parametrize("rate_hz", [10.0, 50.0, 0.5])
def test_features_hardly_depend_on_the_rate(rate_hz: float) -> None:
    slow, found = feature_windows(drive(1.0)), feature_windows(drive(rate_hz))
    assert found["window_end"].equals(slow["window_end"])
    for feature in read_features().features:
        if feature.measure is None:
            continue
        if rate_hz < 1 and (feature.horizon_s == 10 or feature.name.startswith("rpm_per_mph_ch")):
            continue  # a few samples tell little
        relative, absolute = NEAR.get(feature.name) or TOLERANCE[feature.group]
        one, other = slow[feature.name], found[feature.name]
        known = one.is_not_null() & other.is_not_null()
        assert known.sum() >= 0.95 * one.is_not_null().sum(), feature.name
        one, other = one.filter(known), other.filter(known)
        far = ((one - other).abs() > absolute + relative * one.abs()).mean() or 0
        assert far <= (0.06 if rate_hz >= 1 else 0.1), f"{feature.name}: {far}"  # type: ignore[operator]


def test_the_slowest_vehicles_have_all_but_harsh_events() -> None:
    slow, found = feature_windows(drive(1.0)), feature_windows(drive(0.2))
    for feature in read_features().features:
        if feature.group == "harsh events":
            assert found[feature.name].null_count() == found.height
        elif feature.measure:
            counts = [frame[feature.name].is_not_null().sum() for frame in (slow, found)]
            assert counts[1] >= 0.9 * counts[0], feature.name
    for name in ("rpm_mean_60s", "speed_mean_300s", "coolant_mean_60s", "fuel_mean_300s"):
        assert (slow[name] - found[name]).abs().mean() <= 0.05 * slow[name].mean(), name  # type: ignore[operator]


def test_harsh_events_are_counted_once_at_any_rate() -> None:
    for rate_hz in (1.0, 2.0, 10.0, 50.0):
        found = feature_windows(drive(rate_hz))
        assert found["harsh_braking_count_300s"].max() == 1
        assert found["harsh_cornering_count_300s"].max() == 1


@pytest.mark.skipif(not REAL.exists(), reason="the real trips are not there")
def test_real_trips_have_the_features_of_their_signals() -> None:
    with REAL.open("rb") as packed:
        lines = zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()
    lines = [line for line in lines if b"VH-0007" in line]
    telemetry = real_rows(lines)
    found = feature_windows(telemetry)
    filled = {name: 1 - found[name].null_count() / found.height for name in found.columns}
    for name in ("speed_mean_60s", "gps_speed_gap_60s", "accel_speed_gap_60s"):
        assert filled[name] > 0.9, name
    assert 0.1 < filled["rpm_mean_60s"] < 0.9
    assert filled["fuel_mean_300s"] == filled["throttle_load_corr_300s"] == 0
    assert found["gps_speed_gap_60s"].median() < 2  # type: ignore[operator]
    assert found["gps_distance_ratio_300s"].median() == pytest.approx(1, abs=0.05)


def real_rows(lines: list[bytes]) -> pl.DataFrame:
    """Rows as the lake has them."""
    given = [json.loads(line) for line in lines]
    columns = {name: [_of(message, name) for message in given] for name in RAW_SIGNALS}
    return pl.DataFrame(
        {
            "vehicle_id": [message["vehicle_id"] for message in given],
            "event_time": [datetime.fromisoformat(message["timestamp"]) for message in given],
            "conflict": False,
            "null_signals": pl.Series([[]] * len(given), dtype=pl.List(pl.String)),
            **{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()},
        }
    ).unique(["vehicle_id", "event_time"], keep="first")


def _of(message: dict[str, object], name: str) -> object:
    outer, _, inner = name.partition("_")
    if outer in ("gps", "accel"):
        nested = message.get({"gps": "gps", "accel": "accelerometer"}[outer])
        return nested.get(inner) if isinstance(nested, dict) else None
    return message.get(name)
