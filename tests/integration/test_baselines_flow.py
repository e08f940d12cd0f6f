"""Baselines by sensor and job: once a day is over, after failures, by hand; hours' pins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from dagster import AssetKey
from installation import Installation
from platform_run import PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.runs import HOURS_TAG, PARTITION
from fleet_assets.baseline_flow import GIVEN_UP_AFTER, day_work
from fleet_assets.lake.vehicle_baselines import versions
from fleet_assets.local.failing_checks import failing_checks
from fleet_assets.settings import Settings
from fleet_assets.warehouse.input_pins import read_pins, sync_pins
from fleet_assets.warehouse.ledger import record_failure
from fleet_assets.warehouse.vehicles import import_vehicles
from sensors.baselines import BASELINES_JOB

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
START = datetime(2020, 3, 1, 5, 50, tzinfo=UTC)
DAYS = [f"2020-03-0{n}" for n in (1, 2, 3, 4)]
SCORE = "rpm_mean_60s_z_vehicle"


def take_in(run: PlatformRun, day: int, rpm: int = 2000) -> None:
    """Five minutes of a day, up to its windows."""
    times = [(START + timedelta(days=day, seconds=second)).isoformat() for second in range(300)]
    values = [message("T-1", time, speed=40, engine_rpm=rpm + n) for n, time in enumerate(times)]
    run.produce([(b"T-1", value) for value in values])
    run.land()
    assert all(result.success for result in (*run.refresh(), *run.judge()))
    window(run)


def follow(run: PlatformRun, *days: list[str]) -> None:
    """Runs over exactly these days, one after the other, then none."""
    for these in days:
        requests = run.tick("baselines_sensor").run_requests or []
        assert [request.tags[HOURS_TAG].split(",") for request in requests] == [these]
        (result,) = run.follow("baselines_sensor", BASELINES_JOB)
        assert result.success
    assert run.follow("baselines_sensor", BASELINES_JOB) == []


def window(run: PlatformRun) -> None:
    (result,) = run.follow("features_sensor", "features")
    assert result.success
    assert run.follow("features_sensor", "features") == []


def scores(run: PlatformRun, day: int) -> list[float]:
    return run.rows("feature_windows", f"{DAYS[day]}T05")[SCORE].drop_nulls().to_list()


def pins(run: PlatformRun) -> dict[str, str]:
    rows = run.query(
        "select event_hour, version from warehouse.input_pins where input = 'baselines'"
    )
    return dict(rows)


def made(run: PlatformRun, asset: str) -> set[str]:
    return run.instance.get_materialized_partitions(AssetKey(asset))


def ledger(run: PlatformRun, stage: str) -> dict[str, tuple[str, int]]:
    rows = run.query(
        "select event_day, state, attempts from warehouse.day_ledger where stage = %s", stage
    )
    return {day: (state, attempts) for day, state, attempts in rows}


def test_baselines_follow(services: Installation, flow_home: Path, tmp_path: Path) -> None:
    settings = {
        "partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S", "features_share": "1",
    }  # fmt: skip
    with platform_run(services, "baselines_flow", flow_home, tmp_path / "lake", **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1, vehicle_type="sedan")], "test")
        follow(run)
        take_in(run, 0)
        follow(run)  # the day is not over
        assert pins(run) == {}

        take_in(run, 1)
        follow(run, [DAYS[0]], [DAYS[1]])
        assert versions(run.lake) == {DAYS[1]: 1}
        assert made(run, "feature_days") == {DAYS[0]}
        assert made(run, "vehicle_baselines") == {DAYS[1]}
        assert run.rows("vehicle_baselines", DAYS[1])["vehicle_type"].unique().to_list() == [
            "sedan"
        ]
        assert run.verdicts("feature_days", "contract") == {DAYS[0]: True}
        assert run.verdicts("vehicle_baselines", "contract") == {DAYS[1]: True}
        assert scores(run, 1) == []
        window(run)
        assert scores(run, 1)
        assert scores(run, 0) == []
        assert pins(run) == {f"{DAYS[1]}T05": f"{DAYS[1]}/1"}
        follow(run)

        _pins_keep_their_time_while_they_are_the_same(run)
        _a_failed_day_is_waited_for_and_tried_again(run)
        _by_hand_versions_are_made_and_taken(run)
        _an_hour_that_fails_again_and_again_is_waited_for_no_more(run)


def _pins_keep_their_time_while_they_are_the_same(run: PlatformRun) -> None:
    url, hour = run.postgres_url, f"{DAYS[1]}T05"
    known = read_pins(url, [hour])
    assert set(known["input"]) == {"baselines", "features", "rules"}
    assert set(known["vehicle_group"]) == {""}
    asked = "select input, vehicle_group, pinned_at from warehouse.input_pins order by 1, 2"
    before = run.query(asked)
    assert sync_pins(run.lake, url, [hour]) == sync_pins(run.lake, url) == 0
    assert run.query(asked) == before
    run.query("update warehouse.input_pins set version = 'other' where input = 'rules' returning 1")
    for of_hour in (hour, "2020-01-01T00"):  # of a trial that was rolled back, and of no hour
        run.query(
            "insert into warehouse.input_pins (event_hour, input, vehicle_group, version)"
            " values (%s, 'trial', 'van', 'fm-2') returning 1",
            of_hour,
        )
    assert sync_pins(run.lake, url, []) == 0
    assert sync_pins(run.lake, url, [hour]) == 2
    assert read_pins(url, [hour]).equals(known)
    assert sync_pins(run.lake, url) >= 1
    assert read_pins(url, ["2020-01-01T00"]).is_empty()
    assert read_pins(url, ["2020-03-09T05"]).is_empty()


def _a_failed_day_is_waited_for_and_tried_again(run: PlatformRun) -> None:
    take_in(run, 2, rpm=2500)
    assert scores(run, 2) == []
    with mock.patch("fleet_assets.assets.baselines.summarise_day", side_effect=OSError("no disk")):
        (result,) = run.follow("baselines_sensor", BASELINES_JOB)
    assert not result.success  # of one day alone, so that Dagster shows it
    assert ledger(run, "feature_days")[DAYS[1]] == ("failed", 1)
    assert run.verdicts("feature_days", "contract")[DAYS[1]] is False
    assert f"feature_days {DAYS[1]}: OSError: no disk" in failing_checks(
        run.postgres_url, Settings()
    )
    at_once = datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(0, UTC)
    with (
        mock.patch("sensors.pacing.ready_at", return_value=at_once),
        mock.patch("sensors.baselines.ready_at", return_value=at_once),
    ):
        follow(run)  # not yet, and no baselines without it
        run.query("update warehouse.day_ledger set next_attempt_at = now() returning 1")
        follow(run, [DAYS[1]], [DAYS[2]])
    assert ledger(run, "feature_days")[DAYS[1]] == ("fresh", 0)
    assert run.verdicts("feature_days", "contract")[DAYS[1]] is True
    assert versions(run.lake) == {DAYS[1]: 1, DAYS[2]: 1}
    window(run)
    assert min(scores(run, 2)) > 2


def _by_hand_versions_are_made_and_taken(run: PlatformRun) -> None:
    hour = f"{DAYS[2]}T05"
    before = scores(run, 2)
    config = {"ops": {"make_baselines": {"config": {"repin": True}}}}
    tags = {PARTITION: DAYS[2], HOURS_TAG: DAYS[2]}
    assert run.execute(BASELINES_JOB, config, tags).success  # both tables
    assert versions(run.lake)[DAYS[2]] == 2
    assert run.follow("features_sensor", "features") == []
    assert pins(run)[hour] == f"{DAYS[2]}/1"
    config = {"ops": {"refresh_feature_windows": {"config": {"repin": True}}}}
    assert run.execute("features", config, {PARTITION: hour}).success
    assert pins(run)[hour] == f"{DAYS[2]}/2"
    assert scores(run, 2) == before  # made from the same days


def _an_hour_that_fails_again_and_again_is_waited_for_no_more(run: PlatformRun) -> None:
    take_in(run, 3)
    late = message("T-1", f"{DAYS[0]}T09:00:00Z", speed=1)
    run.produce([(b"T-1", late)])
    run.land()  # and no more: a refresh of it fails
    hour = f"{DAYS[0]}T09"
    for attempts in range(GIVEN_UP_AFTER):
        work = day_work(run.lake, run.postgres_url, datetime.now(UTC))
        assert (work.summaries, work.baselines) == ((DAYS[2],), ()), attempts
        record_failure(run.postgres_url, "telemetry", [hour], "bad rows")
    follow(run, [DAYS[2]], [DAYS[3]])
    assert versions(run.lake)[DAYS[3]] == 1
