"""History that lies far apart: many hours in one run; Dagster shows exactly the hours it made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.runs import HOURS_TAG, RANGE_END, RANGE_START
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HOURS = ["2019-03-01T05", "2019-03-01T09", "2021-12-31T23", "2022-01-01T00", "2024-02-29T12"]
POISON = HOURS[1]
LAKE_TABLES = ("telemetry", "telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes",
               "vehicle_hours")  # fmt: skip


@pytest.fixture
def flow(services: Installation, flow_home: Path, tmp_path: Path) -> Iterator[PlatformRun]:
    settings = {"partitions_start": "2019-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "scattered", flow_home, tmp_path / "lake", **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1)], "test")
        yield run


def made(flow: PlatformRun, asset: str) -> set[str]:
    return set(flow.instance.get_materialized_partitions(dg.AssetKey(asset)))


def test_scattered_history_goes_in_one_run_that_tells_of_its_hours_only(flow: PlatformRun) -> None:
    flow.produce([
        (b"T-1", message("T-1", f"{hour}:{minute:02}:00Z", speed=30))
        for hour in HOURS for minute in range(5)
    ])  # fmt: skip
    flow.land()
    raw = flow.lake.open("raw_telemetry")
    (path,) = raw.files.filter(pl.col("event_hour") == POISON)["path"].to_list()
    file = Path(raw.delta.table_uri.removeprefix("file://")) / path
    good = file.read_bytes()
    file.write_bytes(b"PAR1" + b"\0" * (len(good) - 8) + b"PAR1")

    (request,) = flow.tick("refresh_sensor").run_requests or []
    assert request.tags[HOURS_TAG].split(",") == HOURS
    assert request.tags[RANGE_START] == request.tags[RANGE_END] == HOURS[0]
    assert flow.execute("refresh", request.run_config, request.tags).success

    fine = [hour for hour in HOURS if hour != POISON]
    for asset in (*LAKE_TABLES, "warehouse_vehicle_hours"):
        assert made(flow, asset) == set(fine), asset
    assert flow.ledger(POISON)["telemetry"].state == "failed"
    assert {h: ok for h, ok in flow.verdicts("telemetry", "contract").items() if h} == {
        **dict.fromkeys(fine, True),
        POISON: False,
    }
    conserved = flow.verdicts("telemetry_outcomes", "conservation")
    assert {hour: conserved[hour] for hour in fine} == dict.fromkeys(fine, True)
    shown = "select event_hour, sum(messages)::int from marts.fct_vehicle_hours group by 1"
    assert dict(flow.query(shown)) == dict.fromkeys(fine, 5)
    # nothing has been done to an hour between them
    everywhere = flow.query("select distinct event_hour from warehouse.partition_ledger")
    assert {hour for (hour,) in everywhere} == set(HOURS)

    file.write_bytes(good)
    flow.move_retries(-(flow.platform.settings.late_after))
    flow.refresh()
    assert dict(flow.query(shown)) == dict.fromkeys(HOURS, 5)
    assert made(flow, "telemetry") == set(HOURS)
