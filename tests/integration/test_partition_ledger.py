"""The ledger by hour and table on a real PostgreSQL: states, revisions, overrides, the command."""

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, SOURCE, land_values, message, placed
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, query

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import work_hours
from fleet_assets.commands.ledger import ledger as app
from fleet_assets.errors import FleetError
from fleet_assets.lake.by_onset import stitch_hours
from fleet_assets.lake.feature_windows import refresh_feature_windows
from fleet_assets.lake.landing import land
from fleet_assets.lake.ledger import OPTIONAL
from fleet_assets.lake.processed import FOLLOWERS
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.segments import refresh_segments
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import by_travel, refresh_trip_segments
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.rule_flow import settle, work_hour
from fleet_assets.warehouse.from_lake import load_hour
from fleet_assets.warehouse.gaps import acknowledge, known_gaps
from fleet_assets.warehouse.lake_ledger import sync_lake_ledger
from fleet_assets.warehouse.ledger import LedgerEntry, Stage, read_ledger, record, record_failure
from fleet_assets.warehouse.ledger_view import TABLES, ledger_summary, partition_ledger
from fleet_assets.warehouse.load_stale import load_copied
from fleet_assets.warehouse.overrides import read_overrides, release, released_hours, revoke
from fleet_assets.warehouse.revisions import read_revisions
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.staleness import mark_marts
from partitions.definitions import hourly_partitions
from partitions.hours import hour_start
from sensors.ledger import build_ledger_sensor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
EVERY = [table for table in TABLES if table.removeprefix("warehouse_") not in OPTIONAL]
"""No model serves in these tests."""

NO_TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
KNOWN = frozenset(["v1"])


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, request.node.name[:60].lower())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def show(
    lake: Lake, url: str, known: frozenset[str] = KNOWN, run_id: str = "run", **how: Any
) -> None:
    """An hour through all stages, dbt apart, as the jobs take it."""
    refreshed = refresh_hour(lake, HOUR, known, LATE_AFTER, **how)
    done = LedgerEntry("telemetry", HOUR, refreshed.processed_version, rows=1, run_id=run_id)
    record(url, [done])
    hours = refresh_vehicle_hours(lake, HOUR, NO_TANKS)
    record(url, [LedgerEntry("vehicle_hours", HOUR, hours.processed_version, run_id=run_id)])
    load_hour(lake, url, HOUR, run_id, by_hand=bool(how))
    mark_marts(url, read_ledger(url, "warehouse"), run_id)
    judge(lake, url, run_id)
    sync_lake_ledger(lake, url)


def judge(lake: Lake, url: str, run_id: str = "run") -> None:
    """Trips, anomalies and features of the hour."""
    book = rule_book(url)
    worked = work_hour(lake, HOUR, book)
    record(url, [LedgerEntry("rules", HOUR, worked.segments.processed_version, run_id=run_id)])
    settle(lake, url, book, run_id)
    made = refresh_feature_windows(lake, HOUR)
    record(url, [LedgerEntry("features", HOUR, made.processed_version, run_id=run_id)])


def states(url: str) -> dict[str, str]:
    return dict(partition_ledger(url, HOUR).select("table_name", "state").iter_rows())


def at(second: int, vehicle: str = "v1", **values: Any) -> bytes:
    return message(vehicle, f"2026-02-01T05:00:{second:02}Z", **values)


def test_an_hour_is_fresh_until_more_lands_and_tells_what_it_holds(lake: Lake, url: str) -> None:
    land_values(lake, [at(1), at(2), at(3, "unknown")])
    show(lake, url)
    found = {row["table_name"]: row for row in partition_ledger(url, HOUR).iter_rows(named=True)}
    assert list(found) == EVERY
    assert set(states(url).values()) == {"fresh"}
    assert (found["telemetry"]["rows"], found["telemetry_rejects"]["rows"]) == (2, 1)
    assert found["telemetry"]["bytes"] > 0
    assert found["telemetry"]["run_id"] == "run"
    assert found["telemetry"]["last_run_at"] is not None
    newest = {row["newest_input_at"] for row in found.values()}
    assert len(newest) == 1
    assert {row["processed_input_at"] for row in found.values()} == newest

    land_values(lake, [at(4)], start=3)
    assert sync_lake_ledger(lake, url) == 1  # only the row of raw differs
    assert sync_lake_ledger(lake, url) == 0
    assert states(url) == {t: "fresh" if t == "raw_telemetry" else "stale" for t in EVERY}
    show(lake, url)
    assert set(states(url).values()) == {"fresh"}


def driven(first: int, seconds: int, minute: int = 0) -> list[bytes]:
    """A message each second from a moment of the hour on, at 30 mph."""
    at = hour_start(HOUR) + timedelta(minutes=minute)
    span = range(first, first + seconds)
    return [message("v1", (at + timedelta(seconds=s)).isoformat(), speed=30.0) for s in span]


def test_trips_and_anomalies_wait_for_the_rules_and_then_tell_what_begins_in_the_hour(
    lake: Lake, url: str
) -> None:
    land_values(lake, driven(0, 60))
    show(lake, url)
    found = {row["table_name"]: row for row in partition_ledger(url, HOUR).iter_rows(named=True)}
    assert (found["trips"]["rows"], found["warehouse_trips"]["rows"]) == (1, 1)
    assert found["rule_eligibility"]["rows"] == found["warehouse_rule_eligibility"]["rows"] == 1
    assert found["warehouse_trips"]["processed_input_at"] == found["trips"]["newest_input_at"]
    assert found["trips"]["run_id"] == "run"

    land_values(lake, driven(60, 10), start=60)
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    sync_lake_ledger(lake, url)
    after_telemetry = EVERY[EVERY.index("segments") :]
    assert {states(url)[table] for table in after_telemetry} == {"stale"}
    refresh_segments(lake, HOUR, rule_book(url))
    refresh_trip_segments(lake, HOUR)
    sync_lake_ledger(lake, url)
    waiting = {table for table in after_telemetry if states(url)[table] == "stale"}
    assert waiting == {
        "trips", "rule_anomalies", "anomalies", "warehouse_trips", "warehouse_rule_anomalies",
        "warehouse_anomalies", "warehouse_rule_eligibility", "warehouse_vehicle_codes",
        "feature_windows",
    }  # fmt: skip
    stitch_hours(lake, [HOUR], by_travel())
    sync_lake_ledger(lake, url)
    assert (states(url)["trips"], states(url)["warehouse_trips"]) == ("fresh", "stale")
    load_copied(lake, url, "trips", "run 2")
    assert states(url)["warehouse_trips"] == "fresh"


def test_a_failure_of_the_rules_shows_at_all_their_tables_in_the_lake(lake: Lake, url: str) -> None:
    land_values(lake, [at(1)])
    show(lake, url)
    record_failure(url, "rules", [HOUR], "bad rows")
    failed = partition_ledger(url, state="failed")["table_name"].to_list()
    of_rules = [t for t in FOLLOWERS if t != "feature_windows" and t not in OPTIONAL]
    assert failed == [*of_rules, "trips", "rule_anomalies", "anomalies"]


def test_failed_and_withheld_stages_are_told_by_table(lake: Lake, url: str) -> None:
    land_values(lake, [at(1)])
    show(lake, url)
    record_failure(url, "vehicle_hours", [HOUR], "bad rows")
    record(url, [LedgerEntry("warehouse", HOUR, state="withheld", detail="vehicle_hours failed")])
    found = states(url)
    assert (found["telemetry"], found["vehicle_hours"]) == ("fresh", "failed")
    assert found["warehouse"] == "stale"
    assert partition_ledger(url, state="withheld")["table_name"].to_list() == ["warehouse"]
    summary = {row["table_name"]: row for row in ledger_summary(url).iter_rows(named=True)}
    assert summary["vehicle_hours"]["failed"] == 1


def test_a_loss_is_a_gap_until_it_is_acknowledged(lake: Lake, url: str) -> None:
    rows = placed([at(1)], start=5).with_columns(offset_start=pl.lit(0, dtype=pl.Int64))
    land(lake, SOURCE, {0: (0, 6)}, rows, lost={0: 5})
    show(lake, url)
    assert set(states(url).values()) == {"gap"}
    assert "5 offsets" in partition_ledger(url, HOUR)["gap"][0]
    acknowledge(url, known_gaps(lake, url), "somebody", "the broker was off")
    sync_lake_ledger(lake, url)
    assert set(states(url).values()) == {"fresh"}


def test_raw_that_is_gone_is_a_gap_and_hours_that_vanish_leave_the_ledger(
    lake: Lake, url: str
) -> None:
    land_values(lake, [at(1)])
    show(lake, url)
    raw = lake.open("raw_telemetry")
    file = Path(raw.delta.table_uri.removeprefix("file://")) / raw.files["path"][0]
    content = file.read_bytes()
    file.unlink()
    sync_lake_ledger(lake, url, look_at_files=True)
    assert states(url)["raw_telemetry"] == "gap"
    sync_lake_ledger(lake, url)  # who does not look keeps what is known
    assert states(url)["raw_telemetry"] == "gap"
    file.write_bytes(content)
    sync_lake_ledger(lake, url, look_at_files=True)
    assert states(url)["raw_telemetry"] == "fresh"
    sync_lake_ledger(Lake(f"{lake.url}-other"), url)
    assert query(url, "select count(*) from warehouse.lake_ledger") == [(0,)]


def test_only_what_changes_after_it_was_shown_is_a_revision(lake: Lake, url: str) -> None:
    land_values(lake, [at(1), at(2, "v2")])
    show(lake, url)
    show(lake, url)  # nothing new
    assert read_revisions(url) == []
    land_values(lake, [at(3), at(1), at(4)], start=2)
    show(lake, url, run_id="late run")
    show(lake, url, frozenset(["v1", "v2"]), run_id="register run")
    show(lake, url, frozenset(["v1", "v2"]), force_rebuild=True)  # the same counts
    late, registered = read_revisions(url)
    assert (late.cause, late.run_id, late.revision) == ("late", "late run", 1)
    assert (late.messages_added, late.accepted_before, late.accepted_after) == (3, 1, 3)
    assert (late.duplicate_before, late.duplicate_after) == (0, 1)
    assert (registered.cause, registered.messages_added) == ("registered", 0)
    assert (registered.rejected_before, registered.rejected_after) == (1, 0)
    assert (registered.rows_before, registered.rows_after) == (1, 2)
    assert registered.accepted_after == 4


def test_an_hour_that_still_fills_is_not_revised(lake: Lake, url: str) -> None:
    land_values(lake, [at(1)])
    show(lake, url)
    land_values(lake, [at(2)], start=1)
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    load_hour(lake, url, HOUR, "run", late_after=timedelta(days=100_000))
    assert read_revisions(url) == []


@pytest.fixture
def stage_run(url: str) -> Callable[..., bool]:
    """Runs two stages over one hour; says whether the run went well."""

    def run(fails: bool) -> bool:
        @dg.asset(partitions_def=hourly_partitions(hour_start("2026-02-01T00")))
        def upper(context: dg.AssetExecutionContext) -> None:
            _work(context, url, "telemetry", None, fails=fails)

        @dg.asset(partitions_def=hourly_partitions(hour_start("2026-02-01T00")), deps=[upper])
        def lower(context: dg.AssetExecutionContext) -> None:
            _work(context, url, "vehicle_hours", "telemetry", fails=False)

        return dg.materialize([upper, lower], partition_key=HOUR, raise_on_error=False).success

    return run


def _work(
    context: dg.AssetExecutionContext,
    url: str,
    stage: Stage,
    upstream: Stage | None,
    *,
    fails: bool,
) -> None:
    def work(hour: str) -> int:
        if fails:
            raise ValueError("bad rows")
        return 7

    work_hours(
        context,
        url,
        stage,
        work=work,
        version_of=lambda version: version,
        rows_of=lambda version: 1,
        upstream=upstream,
        on_failure=lambda hour, error: None,
    )


def test_an_override_lets_the_next_stage_go_on_until_the_hour_passes(
    url: str, stage_run: Callable[..., bool]
) -> None:
    assert not stage_run(fails=True)
    by_stage = {entry.stage: entry for entry in read_ledger(url, hours=[HOUR])}
    assert by_stage["vehicle_hours"].state == "withheld"

    release(url, "telemetry", HOUR, "known sensor fault", "ann")
    assert released_hours(url, "telemetry", [HOUR]) == {HOUR}
    assert stage_run(fails=True)
    by_stage = {entry.stage: entry for entry in read_ledger(url, hours=[HOUR])}
    assert (by_stage["telemetry"].state, by_stage["telemetry"].attempts) == ("failed", 2)
    assert by_stage["vehicle_hours"].state == "fresh"
    assert partition_ledger(url, state="released")["state"].unique().to_list() == ["failed"]

    assert stage_run(fails=False)
    (override,) = read_overrides(url)
    assert (override.reason, override.released_by) == ("known sensor fault", "ann")
    assert override.ended_by == "the hour passed"
    assert released_hours(url, "telemetry", [HOUR]) == set()


def test_a_revoked_override_withholds_again(url: str, stage_run: Callable[..., bool]) -> None:
    stage_run(fails=True)
    release(url, "telemetry", HOUR, "a reason", "ann")
    revoke(url, "telemetry", HOUR, "bob")
    assert not stage_run(fails=True)
    assert read_overrides(url)[0].ended_by == "bob"
    assert read_overrides(url, holding_only=True) == []


def test_only_what_fails_can_be_released_and_once(url: str) -> None:
    with pytest.raises(FleetError, match="does not fail"):
        release(url, "telemetry", HOUR, "why", "ann")
    record(url, [LedgerEntry("vehicle_hours", HOUR, state="withheld", detail="telemetry failed")])
    with pytest.raises(FleetError, match="release the stage that fails"):
        release(url, "vehicle_hours", HOUR, "why", "ann")
    record_failure(url, "telemetry", [HOUR], "bad")
    release(url, "telemetry", HOUR, "why", "ann")
    with pytest.raises(FleetError, match="released already"):
        release(url, "telemetry", HOUR, "why", "bob")
    with pytest.raises(FleetError, match="No override"):
        revoke(url, "vehicle_hours", HOUR, "bob")


def test_the_command_prints_filters_and_releases(
    lake: Lake, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_values(lake, [at(1)])
    show(lake, url)
    record_failure(url, "telemetry", [HOUR], "bad\nrows")
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)

    def fleet(*words: str) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.exception
        return result.stdout

    rows = json.loads(fleet("--format", "json", "--hour", HOUR))
    assert [row["table_name"] for row in rows] == EVERY
    failed = csv.DictReader(fleet("--state", "failed", "--format", "csv").splitlines(keepends=True))
    assert [row["detail"] for row in failed] == ["bad\nrows"] * 4
    assert "bad rows" in fleet("--table", "telemetry")
    assert fleet("--from", "2026-02-01T06") == "No hour that fits.\n"
    assert "released" in fleet("release", HOUR, "--stage", "telemetry", "--reason", "known")
    assert "known" in fleet("overrides")
    assert fleet("--revised") == "No hour was revised.\n"
    refused = CliRunner().invoke(app, ["--hour", "5 o'clock"])
    assert isinstance(refused.exception, FleetError)


def test_the_sensor_keeps_the_ledger_in_step_with_the_lake(
    lake: Lake, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    sensor = build_ledger_sensor(Platform())
    instance = dg.DagsterInstance.ephemeral()

    def tick(cursor: str | None) -> tuple[str, list[str]]:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        data = sensor.evaluate_tick(context)
        return data.cursor or cursor or "", [
            e.asset_key.to_user_string() for e in data.asset_events
        ]

    land_values(lake, [at(1)])
    cursor, events = tick(None)
    assert events == ["partition_ledger"]
    assert states(url)["telemetry"] == "stale"
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    cursor, events = tick(cursor)
    assert events == []  # the summary was shown a moment ago
    assert states(url)["telemetry"] == "fresh"
    query(url, "delete from warehouse.lake_ledger where table_name = 'telemetry' returning 1")
    tick(cursor)
    assert "telemetry" not in states(url)  # nothing was written, so nothing is compared
