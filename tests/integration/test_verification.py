"""After late data a rebuild gives what is stored; what was changed by hand is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run
from warehouse_data import vehicle

from fleet_assets.verification.telemetry import telemetry_differences
from fleet_assets.verification.verify import Verified, repair_command, verify
from fleet_assets.warehouse.connection import connect
from fleet_assets.warehouse.vehicles import import_vehicles
from tests.scoring_data import failing_drive, let_serve, small_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
HOURS = ["2026-02-02T04", "2026-02-02T05"]
DAY = "2026-02-02"
LATE = timedelta(minutes=5)


def follow_all(run: PlatformRun) -> None:
    """Land and refresh, then rules, features, models, and the rules again, which collect."""
    run.land()
    results = [*run.refresh(), *run.judge()]
    for job in ("features", "scoring"):
        results += run.follow(f"{job}_sensor", job)
    results += [*run.judge(), *run.refresh()]  # the marts show what it found
    assert all(result.success for result in results)


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    settings = {
        "partitions_start": "2026-01-01T00:00Z", "late_interval": "PT0S", "features_share": "1",
        "scoring_share": "1", "rules_share": "1",
    }  # fmt: skip
    lake = tmp_path_factory.mktemp("verify-lake")
    with platform_run(services, "verification", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1, id="v1", vehicle_type="sedan")], "test")
        since = datetime(2026, 1, 1, tzinfo=UTC)
        let_serve(small_model(), run.lake.url, run.postgres_url, ["sedan"], since)
        sent = list(failing_drive("v1"))
        bad = [(b"v1", b"{"), (b"v9", b'{"vehicle_id": "v9", "timestamp": "2026-02-02T04:50:00Z"}')]
        run.produce([(b"v1", m) for when, m in sent if when.minute % 7] + bad)
        follow_all(run)
        late = [(b"v1", message) for when, message in sent if not when.minute % 7]
        run.produce([*late, *late[:10]])
        follow_all(run)
        yield run


def verified(flow: PlatformRun) -> Verified:
    settings = flow.platform.settings
    state = settings.home.absolute() / "dbt-verify"
    return verify(flow.lake, flow.postgres_url, HOURS, settings.late_after, state)


def changed(flow: PlatformRun, name: str, column: str, value: pl.Expr) -> tuple[str, pl.DataFrame]:
    """Changes the first row of a table, the marks stay; gives its hour as it was."""
    table = flow.lake.open(name)
    hour = str(table.files["event_hour"].sort()[0])
    good = table.read(hour)
    first = pl.int_range(pl.len()) == 0
    replace(
        flow,
        name,
        hour,
        good.with_columns(pl.when(first).then(value).otherwise(column).alias(column)),
    )
    return hour, good


def replace(flow: PlatformRun, name: str, hour: str, rows: pl.DataFrame) -> None:
    table = flow.lake.open(name)
    table.commit_files({hour: [rows]}, table.files_of([hour]), {})


def test_nothing_differs_after_late_messages(flow: PlatformRun) -> None:
    found = verified(flow)
    assert found.differences == ()
    assert found.not_rebuilt == ()
    assert found.found.waiting == ()
    assert found.found.compared > 40
    for name in ("model_anomalies", "rule_anomalies", "telemetry_rejects", "trips"):
        assert flow.rows(name).height, name  # there was something to compare


SEEDED = {
    "telemetry": ("speed", pl.col("speed") + 1),
    "telemetry_rejects": ("detail", pl.lit("another")),
    "vehicle_hours": ("messages", pl.col("messages") + 1),
    "segments": ("ended_at", pl.col("ended_at") + pl.duration(seconds=1)),
    "trips": ("samples", pl.col("samples") + 1),
    "rule_anomalies": ("severity", pl.lit("low")),
    "feature_windows": ("rpm_mean_60s", pl.col("rpm_mean_60s") + 1),
    "model_hours": ("windows", pl.col("windows") + 1),
    "anomalies": ("description", pl.lit("another")),
}
"""By table of the lake, what somebody changes."""
WAREHOUSE = {
    "warehouse.vehicle_outcomes": ("accepted", HOURS[0]),
    "warehouse.trips": ("samples", HOURS[0]),
    "marts.fct_vehicle_days": ("messages", DAY),
    "marts.fct_vehicle_hours": ("messages", DAY),
}


def test_rows_that_were_changed_by_hand_are_named_and_nothing_else_is(flow: PlatformRun) -> None:
    good = {name: (*changed(flow, name, *what),) for name, what in SEEDED.items()}
    with connect(flow.postgres_url) as connection:
        for table, (column, _) in WAREHOUSE.items():
            connection.execute(f"update {table} set {column} = {column} + 5".encode())
    found = verified(flow)
    named = {(d.table, d.key): d for d in found.differences}
    for name in SEEDED:
        difference = named[name, good[name][0]]
        assert difference.missing + difference.extra + difference.changed >= 1, name
        assert difference.sample
    for table, (column, key) in WAREHOUSE.items():
        assert named[table, key].changed >= 1
        assert any(column in told for told in named[table, key].sample)
    order = [d.table for d in found.differences]
    assert order.index("marts.fct_vehicle_hours") < order.index("marts.fct_vehicle_days")
    repair = repair_command(found.differences)
    assert " telemetry " in repair
    assert f"--from {DAY} --to {DAY}" in repair

    # as it was, but for one row that is gone and one that is too many
    for name, (hour, rows) in good.items():
        replace(flow, name, hour, rows)
    with connect(flow.postgres_url) as connection:
        for table, (column, _) in WAREHOUSE.items():
            connection.execute(f"update {table} set {column} = {column} - 5".encode())
    hour, rows = good["telemetry"]
    twice = pl.concat([rows.tail(-1), rows.tail(1).with_columns(vehicle_id=pl.lit("v7"))])
    replace(flow, "telemetry", hour, twice.sort("vehicle_id", "event_time"))
    of_telemetry = telemetry_differences(flow.lake, hour, frozenset({"v1"}), LATE)
    assert of_telemetry is not None
    ((difference),) = of_telemetry
    assert (difference.missing, difference.extra, difference.changed) == (1, 1, 0)
    replace(flow, "telemetry", hour, rows)


def test_the_nightly_asset_tells_its_verdict(flow: PlatformRun) -> None:
    every = {"ops": {"verification": {"config": {"all_history": True}}}}
    assert flow.execute("verification_job", every, {}).success
    assert flow.verdicts("verification", "rebuild_agrees") == {None: True}
    change = "update warehouse.trips set samples = samples {} 1"
    with connect(flow.postgres_url) as connection:
        connection.execute(change.format("+").encode())
    result = flow.execute("verification_job", every, {})
    assert result.success
    assert flow.verdicts("verification", "rebuild_agrees") == {None: False}
    (event,) = result.asset_materializations_for_node("verification")
    assert "warehouse.trips" in str(event.metadata["what differs"].value)
    assert str(event.metadata["to make it right"].value).startswith(
        "fleet backfill warehouse_trips"
    )
