"""Scoring by sensor and job: a failing sensor is found, and told beside what the rules say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run
from warehouse_data import query, vehicle

from fleet_assets.assets.runs import RANGE_END, RANGE_START
from fleet_assets.warehouse.vehicles import import_vehicles
from tests.scoring_data import FAILS, START, failing_drive, let_serve, small_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
HOURS = ["2026-02-02T04", "2026-02-02T05"]


def follow_all(run: PlatformRun) -> None:
    """Land and refresh, then rules, features, models, and the rules again, which collect."""
    run.land()
    results = [*run.refresh(), *run.judge()]
    for job in ("features", "scoring"):
        results += run.follow(f"{job}_sensor", job)
    results += run.judge()
    assert results
    assert all(result.success for result in results)


def test_models_judge_what_was_sent(
    services: Installation, flow_home: Path, tmp_path: Path
) -> None:
    settings = {
        "partitions_start": "2026-01-01T00:00Z", "late_interval": "PT0S", "features_share": "1",
        "scoring_share": "1", "rules_share": "1",
    }  # fmt: skip
    with platform_run(services, "scoring_flow", flow_home, tmp_path / "lake", **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1, id="v1", vehicle_type="sedan")], "test")
        assert run.follow("scoring_sensor", "scoring") == []  # no model serves
        since = datetime(2026, 1, 1, tzinfo=UTC)
        model_id = let_serve(small_model(), run.lake.url, run.postgres_url, ["sedan"], since)
        sent = list(failing_drive("v1"))
        early = [message for when, message in sent if when.minute % 7]
        run.produce([(b"v1", message) for message in early])
        follow_all(run)
        assert run.verdicts("model_segments", "contract") == dict.fromkeys(HOURS, True)
        assert run.verdicts("model_anomalies", "contract")[HOURS[0]]
        assert run.ledger(HOURS[0])["scoring"].state == "fresh"

        late = [message for when, message in sent if not when.minute % 7]
        run.produce([(b"v1", message) for message in late])
        follow_all(run)
        assert run.follow("scoring_sensor", "scoring") == []
        shown = query(
            run.postgres_url,
            "select started_at, model_id, source, anomaly_type, finding_id from warehouse.anomalies"
            " where anomaly_type = 'sensor_failure' and started_at = %s order by source",
            START + FAILS,
        )
        assert [row[1:4] for row in shown] == [
            (model_id, "model", "sensor_failure"), (None, "rule", "sensor_failure"),
        ]  # fmt: skip
        assert shown[0][4] == shown[1][4]
        judged = query(
            run.postgres_url,
            "select event_hour, windows, unscored_windows from warehouse.model_hours order by 1",
        )
        windows = run.rows("feature_windows").group_by("event_hour").len().sort("event_hour")
        assert judged == [(hour, count, 0) for hour, count in windows.iter_rows()]

        mart = query(
            run.postgres_url,
            "select model_id, stage, vehicle_group, sum(windows), sum(anomalies),"
            " sum(also_by_rules)"
            " from marts.mart_model_performance group by 1, 2, 3",
        )
        found = run.rows("model_anomalies").height
        ((*whose, judged_windows, anomalies, also_by_rules),) = mart
        assert whose == [model_id, "live", "sedan"]
        assert (judged_windows, anomalies) == (windows["len"].sum(), found)
        assert 1 <= also_by_rules <= found

        pins = query(
            run.postgres_url,
            "select event_hour, vehicle_group, version from warehouse.input_pins"
            " where input = 'model' order by 1",
        )
        assert pins == [(hour, "sedan", model_id) for hour in HOURS]

        # by hand, the same rows
        before = run.rows("model_anomalies").sort("anomaly_id")
        tags = {RANGE_START: HOURS[0], RANGE_END: HOURS[1]}
        assert run.execute("scoring", {}, tags).success
        assert run.rows("model_anomalies").sort("anomaly_id").equals(before)
        assert not before.filter(pl.col("stage") != "live").height
