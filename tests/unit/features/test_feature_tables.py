"""Contracts of the tables of features: what the kernel gives passes, bad rows do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandera.errors
import polars as pl
import pytest
from feature_rows import rows

from fleet_assets.contracts.feature_tables import FEATURE_DAYS, FEATURE_WINDOWS, VEHICLE_BASELINES
from fleet_assets.features.baselines import BASELINE_SCHEMA, SUMMARY_SCHEMA
from fleet_assets.features.kernel import feature_windows
from fleet_assets.features.tables import by_hour


def good() -> pl.DataFrame:
    seconds = range(3590, 3620)
    frame = rows(
        seconds, engine_rpm=[800.0 + n for n in seconds], speed=0.0, coolant_temp=-40.0,
        throttle_position=[float(n % 7) for n in seconds], accel_y=-5.0,
    )  # fmt: skip
    return by_hour(feature_windows(frame))


def test_what_the_kernel_gives_is_as_the_contract_says() -> None:
    table, found = FEATURE_WINDOWS, good()
    assert found.schema == table.polars_schema
    table.pandera_schema().validate(found, lazy=True)


def test_a_window_belongs_to_the_hour_of_its_step() -> None:
    assert good().select("event_hour", "window_end").rows() == [
        (f"2026-02-01T{hour:02}", datetime(2026, 2, 1, 6, tzinfo=UTC) + timedelta(seconds=s))
        for hour, s in ((5, 0), (6, 10), (6, 20))
    ]


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("event_hour", "2026-02-01"), ("vehicle_id", None), ("window_end", None),
        ("rpm_mean_10s", -1.0), ("rpm_max_60s", 20_000.0), ("coolant_max_300s", 300.0),
        ("speed_std_60s", -0.1), ("idle_share_300s", 1.1), ("silent_share_300s", None),
        ("rpm_jump_10s", -1.0), ("harsh_braking_count_300s", -1.0),
        ("throttle_load_corr_300s", 1.01), ("gps_speed_gap_60s", -0.1),
        ("rpm_mean_60s_z_type", 20.1),
    ],
)  # fmt: skip
def test_canaries(column: str, bad: Any) -> None:
    table = FEATURE_WINDOWS
    spoilt = good().with_columns(pl.lit(bad).cast(table.polars_schema[column]).alias(column))
    with pytest.raises(pandera.errors.SchemaErrors):
        table.pandera_schema().validate(spoilt, lazy=True)


def test_baselines_have_the_columns_of_their_contract() -> None:
    stored = {"event_day": pl.String(), "version": pl.Int64()}
    of_day = {name: kind for name, kind in BASELINE_SCHEMA.items() if name != "day"}
    assert dict(VEHICLE_BASELINES.polars_schema) == stored | of_day
    summary = {name: kind for name, kind in SUMMARY_SCHEMA.items() if name != "day"}
    assert dict(FEATURE_DAYS.polars_schema) == {"event_day": pl.String()} | summary
