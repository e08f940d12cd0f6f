"""Retention across lake, archive and warehouse, with a real PostgreSQL and the commands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from dying import dying_at
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, NOW, land_values, message
from typer.testing import CliRunner, Result
from warehouse_data import fresh_warehouse, query

from fleet_assets.commands import lake as lake_command
from fleet_assets.commands import retention as retention_command
from fleet_assets.errors import FleetError
from fleet_assets.flow import hour_progress
from fleet_assets.lake.archive import Archive
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.retention.classes import Retention, RetentionClass, read_classes
from fleet_assets.retention_flow import RetentionReport, archive_damages, run_retention
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger, record
from fleet_assets.warehouse.legal_holds import held_vehicles, lift_hold, place_hold
from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.retention_actions import noted_actions
from fleet_assets.warehouse.retire_audit import read_audit
from fleet_assets.warehouse.staleness import pending_marts

pytestmark = pytest.mark.integration

OLD = NOW + timedelta(days=1000)
"""A moment from which on every class is over."""
TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
LOADED = ("vehicle_hours", "vehicle_outcomes", "telemetry_outcomes")


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, f"retention_{abs(hash(request.node.name)) % 10**8}")


@pytest.fixture
def lake(url: str, tmp_path: Path) -> Lake:
    """An hour of two vehicles, and of one that is not registered, in lake and warehouse."""
    found = Lake(str(tmp_path / "lake"))
    values = [
        *(message(v, f"{HOUR}:00:0{n}Z", speed=20) for n in range(3) for v in ("v1", "v2")),
        message("stranger"),
        b"oops",
    ]
    land_values(found, values)
    refresh_hour(found, HOUR, frozenset({"v1", "v2"}), LATE_AFTER)
    refresh_vehicle_hours(found, HOUR, TANKS)
    frames = {name: found.open(name).read(HOUR) for name in LOADED}
    stages = ("telemetry", "vehicle_hours", "warehouse")
    replace_hours(url, frames, [HOUR], [LedgerEntry(s, HOUR, 1) for s in stages])  # type: ignore[arg-type]
    (loaded,) = read_ledger(url, "warehouse")
    record(url, [LedgerEntry("marts", HOUR, 1, source_processed_at=loaded.processed_at)])
    assert pending_marts(url) == []
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


def go(lake: Lake, url: str, archive: Archive, *, dry_run: bool = False) -> RetentionReport:
    return run_retention(lake, url, archive, read_classes(), OLD, "a test", dry_run=dry_run)


def rows_in(url: str) -> dict[str, int]:
    return {name: query(url, f"select count(*) from warehouse.{name}")[0][0] for name in LOADED}


def test_what_is_old_leaves_lake_and_warehouse_and_the_marts_are_told(
    lake: Lake, url: str, archive: Archive
) -> None:
    assert rows_in(url) == {"vehicle_hours": 2, "vehicle_outcomes": 4, "telemetry_outcomes": 1}
    would = go(lake, url, archive, dry_run=True)
    assert rows_in(url)["vehicle_hours"] == 2
    assert lake.open("raw_telemetry").read(HOUR).height == 8
    assert noted_actions(url) == []
    did = go(lake, url, archive)
    assert did.failed == []
    assert did.by_table() == would.by_table()
    assert did.by_table()["raw_telemetry"][:2] == (1, 8)
    assert did.rows == would.rows
    assert rows_in(url) == dict.fromkeys(LOADED, 0)
    for table in ("raw_telemetry", "telemetry", "telemetry_rejects", "vehicle_hours"):
        assert lake.open(table).read(HOUR).is_empty(), table
    assert lake.open("telemetry_outcomes").read(HOUR).height == 1  # the proof stays
    assert pending_marts(url) == [HOUR]
    (hour,) = hour_progress(lake, url)
    assert (hour.requeued, hour.landed_version, hour.shown_version) == (False, 1, 1)
    places = {(it.action.place, it.action.table): it.action.rows for it in noted_actions(url)}
    assert places[("lake", "raw_telemetry")] == 8
    assert places[("warehouse", "vehicle_hours")] == 2
    again = go(lake, url, archive)
    assert (again.gone, again.rows, again.failed) == ([], [], [])
    assert any(archive_damages(lake, archive, OLD + timedelta(hours=n))[0] for n in range(720))


def test_a_round_that_is_killed_between_lake_and_warehouse_is_finished_by_the_next(
    lake: Lake, url: str, archive: Archive
) -> None:
    with dying_at("retire.rows_deleted") as died:
        go(lake, url, archive)
    assert died
    assert rows_in(url)["vehicle_hours"] == 2
    assert lake.open("vehicle_hours").read(HOUR).is_empty()
    go(lake, url, archive)
    assert rows_in(url) == dict.fromkeys(LOADED, 0)


def test_held_vehicles_stay_everywhere_until_they_are_released(
    lake: Lake, url: str, archive: Archive
) -> None:
    place_hold(url, "v1", "case 12", "a lawyer")
    with pytest.raises(FleetError, match="held already"):
        place_hold(url, "v1", "once more", "a lawyer")
    go(lake, url, archive)
    for table in ("raw_telemetry", "telemetry", "vehicle_hours"):
        assert set(lake.open(table).read(HOUR)["vehicle_id"]) == {"v1"}, table
    assert query(url, "select vehicle_id from warehouse.vehicle_hours") == [("v1",)]
    lift_hold(url, "v1", "case closed", "a lawyer")
    assert held_vehicles(url) == frozenset()
    go(lake, url, archive)
    assert lake.open("telemetry").read(HOUR).is_empty()
    assert rows_in(url)["vehicle_hours"] == 0


def test_the_old_record_goes_from_the_warehouse_to_the_archive(
    lake: Lake, url: str, archive: Archive
) -> None:
    query(url, _CHANGE.format(id="an-old", at="2026-02-01", sent="clock_timestamp()"))
    query(url, _CHANGE.format(id="not-sent", at="2026-02-01", sent="null"))
    query(url, _CHANGE.format(id="a-new", at="2028-10-01", sent="clock_timestamp()"))
    with dying_at("retire.audit_archived") as died:
        go(lake, url, archive)
    assert died
    ids = "select anomaly_id from warehouse.anomaly_changes order by 1"
    assert query(url, ids) == [("a-new",), ("an-old",), ("not-sent",)]
    go(lake, url, archive)
    assert query(url, ids) == [("a-new",), ("not-sent",)]
    found = read_audit(archive, "anomaly_changes")
    assert found["anomaly_id"].to_list() == ["an-old"]
    assert found["payload"].to_list() == ['{"vehicle_id": "v1"}']
    assert archive_damages(lake, archive, OLD)[1] == []


_CHANGE = """
insert into warehouse.anomaly_changes (changed_at, anomaly_id, kind, payload, published_at)
values ('{at}', '{id}', 'opened', '{{"vehicle_id": "v1"}}', {sent}) returning 1
"""


def test_months_that_are_empty_are_dropped(lake: Lake, url: str, archive: Archive) -> None:
    months = (
        "select count(*) from pg_inherits where inhparent = 'warehouse.vehicle_hours'::regclass"
    )
    assert query(url, months) == [(1,)]
    go(lake, url, archive)
    assert query(url, months) == [(0,)]


def test_the_commands_hold_dry_run_run_restore_and_ask(
    lake: Lake, url: str, archive: Archive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    classes = tmp_path / "classes.yaml"
    given = read_classes().model_dump(mode="json")
    for it in given["classes"].values():
        it["keep"] = "PT1S"
    classes.write_text(Retention.model_validate(given).model_dump_json())
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_ARCHIVE_URL", archive.url)
    monkeypatch.setenv("FLEET_RETENTION_FILE", str(classes))

    def fleet(*arguments: str) -> Result:
        import typer

        app = typer.Typer()
        for command in (lake_command, retention_command):
            command.register(app)
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result

    assert "v2 is held" in fleet("retention", "hold", "add", "v2", "--reason", "case 1").output
    assert "case 1" in fleet("retention", "hold", "list").output
    fleet("retention", "hold", "remove", "v2", "--reason", "over")
    assert fleet("retention", "hold", "list").output == "No vehicle is held.\n"
    assert "lifted by" in fleet("retention", "hold", "list", "--all").output
    would = fleet("retention", "run", "--dry-run").output
    assert "telemetry: 1 hours, 6 rows, 1 files" in would
    assert "would go" in would
    assert "warehouse.vehicle_hours: 2 rows" in would
    assert lake.open("telemetry").read(HOUR).height == 6
    assert "telemetry: 1 hours, 6 rows" in fleet("retention", "run").output
    told = fleet("restore", "telemetry", "--from", "2026-02-01", "--to", "2026-02-01")
    assert told.output.startswith("6 rows of 1 hours")
    asked = fleet("sql", "SELECT count(*) AS n FROM restored_telemetry", "--format", "csv")
    assert asked.output.split() == ["n", "6"]
    restored = [it for it in noted_actions(url) if it.action.action == "restore"]
    assert [(it.action.table, it.action.rows) for it in restored] == [("telemetry", 6)]


def test_a_class_may_not_outlive_what_it_is_made_of() -> None:
    given = read_classes().model_dump(mode="json")
    given["classes"]["telemetry"]["keep"] = "P1D"
    with pytest.raises(ValueError, match="shorter time than raw"):
        Retention.model_validate(given)
    assert isinstance(read_classes().classes["raw"], RetentionClass)
