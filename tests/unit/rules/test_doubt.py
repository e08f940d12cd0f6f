"""Vehicles that are not looked at closely are those of which nothing would be found."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import numpy as np
import polars as pl
import pytest
from drives import START, WANTED, in_force, pieces, vehicle
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.detectors.doubt import EARTH_M, in_doubt
from fleet_assets.rules.detectors.gps import BASE_S
from fleet_assets.rules.resolve import resolve
from fleet_assets.rules.samples import Samples, samples_of

MPH = 0.44704
AROUND_LIMITS_MPH = [0.0, 9.0, 19.9, 20.1, 29.9, 30.1, 60.0, 130.0, 149.0, 151.0, 260.0, 1200.0]
STEPS = st.tuples(
    st.sampled_from([1.0, 1.0, 1.0, 0.3, 2.5, 70.0]),
    st.sampled_from(AROUND_LIMITS_MPH),
    st.floats(0, 2 * np.pi),
    st.sampled_from([None, 0.0, 0.5, 9.9, 10.0, 31.0, 60.0, 91.0, 145.0, 155.0]),
    st.sampled_from([None, 0.0, 0.5, 0.97, 0.99, 4.0]),
    st.sampled_from(["fix", "fix", "fix", "fix", "none", "zero"]),
)
WHERE = st.tuples(
    st.sampled_from([0.0, 1e-5, 41.6, -33.9, 80.0, 89.999]), st.sampled_from([-93.6, 0.0, 179.9999])
)
Step = tuple[float, float, float, float | None, float | None, str]


def track(where: tuple[float, float], steps: list[Step], vehicle_id: str) -> pl.DataFrame:
    """Rows of a vehicle that goes at these speeds and headings, whatever its wheels say."""
    (lat, lon), at_s, rows = where, 0.0, []
    for seconds, mph, heading, speed, accel, receiver in steps * 3:
        at_s += seconds
        degrees = np.degrees(mph * MPH * seconds / EARTH_M)
        lat = min(lat + degrees * np.cos(heading), 90.0)
        lon += degrees * np.sin(heading) / max(np.cos(np.radians(lat)), 1e-3)
        lon = (lon + 180) % 360 - 180
        seen = {"fix": (lat, lon), "none": (None, None), "zero": (0.0, 0.0)}[receiver]
        rows.append((vehicle_id, START + timedelta(seconds=at_s), *seen, speed, accel))
    columns = ["vehicle_id", "event_time", "gps_lat", "gps_lon", "speed", "accel_x"]
    return pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None).cast(
        dict.fromkeys(columns[2:], pl.Float64())
    )


def samples_of_tracks(*tracks: pl.DataFrame) -> Samples:
    """As the detectors see them."""
    rows = pl.concat(tracks)
    missing = [name for name in WANTED if name not in rows.columns]
    return samples_of(
        rows.with_columns(
            pl.col("event_time").dt.cast_time_unit("us"),
            *(pl.lit(None, dtype=pl.Float64).alias(name) for name in missing),
            null_signals=pl.lit([], dtype=pl.List(pl.String)),
            conflict=pl.lit(False),
        ),
        WANTED,
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@example((41.6, 0.0), [(1.0, 29.5, 1.5, 60.0, None, "fix")], (0.0, 0.0), [])  # R31, just so
@example((41.6, 0.0), [(1.0, 0.0, 0.0, 10.0, None, "fix")], (0.0, 0.0), [])  # R33, the same fix
@given(WHERE, st.lists(STEPS, min_size=1, max_size=6), WHERE, st.lists(STEPS, max_size=3))
def test_what_is_not_in_doubt_holds_nothing(
    where: tuple[float, float],
    steps: list[Step],
    elsewhere: tuple[float, float],
    others: list[Step],
) -> None:
    seen = samples_of_tracks(track(where, steps, "a"), track(elsewhere, others, "b"))
    known = in_force(vehicle("a"), vehicle("b", vehicle_type="truck"))
    quickly = pieces(seen, known)
    with pytest.MonkeyPatch.context() as patch:
        module = import_module("fleet_assets.rules.detectors.gps")  # not its function of that name
        patch.setattr(module, "in_doubt", lambda samples, *_: np.ones(len(samples), np.bool_))
        assert_frame_equal(quickly, pieces(seen, known), check_row_order=False)


def test_a_plain_drive_is_not_in_doubt() -> None:
    north = [(1.0, 45.0, 0.0, 45.0, 0.1, "fix")] * 20
    seen = samples_of_tracks(track((41.6, -93.6), north, "a"))
    limits = resolve(read_catalogue(), seen, in_force(vehicle("a")))
    assert not in_doubt(seen, limits, BASE_S, seen.of("speed")).any()
