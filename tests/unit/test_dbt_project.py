"""The dbt project says the same as the contracts, and is told the right windows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from fleet_assets.contracts.anomaly_tables import (
    ANOMALIES,
    RULE_ANOMALIES,
    RULE_ELIGIBILITY,
    SEVERITIES,
    VEHICLE_CODES,
)
from fleet_assets.contracts.model_tables import MODEL_ANOMALIES, MODEL_HOURS
from fleet_assets.contracts.reasons import REJECT_REASONS
from fleet_assets.contracts.table import UTC_MICROSECONDS, Table
from fleet_assets.contracts.tables import VEHICLE_HOURS, VEHICLE_OUTCOMES
from fleet_assets.contracts.trip_tables import TRIPS
from fleet_assets.rules.catalogue import ANOMALY_TYPES, VEHICLE_TYPES
from fleet_assets.trips.limits import trip_limits
from fleet_assets.warehouse.dbt_env import (
    MOST_WINDOWS_BY_TOPIC,
    dbt_environment,
    marked_environment,
    touched_environment,
    touched_vars,
)
from fleet_assets.warehouse.mart_marks import TOPICS
from partitions.hours import hours_between

PROJECT = Path(__file__).parents[2] / "dbt_project"
SQL_TYPES = {
    pl.String(): "text",
    pl.Int64(): "bigint",
    pl.Float64(): "double precision",
    UTC_MICROSECONDS: "timestamp with time zone",
}


def columns_of(model: str) -> dict[str, dict[str, Any]]:
    (path,) = PROJECT.glob(f"models/*/{model}.yml")
    (found,) = yaml.safe_load(path.read_text())["models"]
    return {column["name"]: column for column in found["columns"]}


def test_fct_vehicle_hours_has_the_columns_of_the_contract() -> None:
    declared = {
        name: column["data_type"] for name, column in columns_of("fct_vehicle_hours").items()
    }
    of_then = {"fleet_id": "text", "vehicle_type": "text", "date_local": "date"}
    loaded = {column.name: SQL_TYPES[column.dtype] for column in VEHICLE_HOURS.columns}
    assert declared == loaded | of_then
    assert list(columns_of("stg_vehicle_hours")) == VEHICLE_HOURS.names


@pytest.mark.parametrize(
    "table",
    [
        VEHICLE_OUTCOMES,
        TRIPS,
        ANOMALIES,
        RULE_ANOMALIES,
        MODEL_ANOMALIES,
        MODEL_HOURS,
        RULE_ELIGIBILITY,
        VEHICLE_CODES,
    ],
    ids=str,
)
def test_staging_has_the_columns_of_the_contract(table: Table) -> None:
    assert set(columns_of(f"stg_{table.name}")) == {*table.names, "hour_start"}


EXPORTS = {
    "mart_builds",
    "mart_revisions",
    "telemetry_full",
    "telemetry_minutes",
    "telemetry_recent_extent",
}
"""What the platform writes for one mart (or its neighbours) that passes it on."""


@pytest.mark.parametrize("path", sorted(PROJECT.glob("models/*/*.sql")), ids=lambda path: path.stem)
def test_each_layer_reads_the_ones_below_it(path: Path) -> None:
    code = path.read_text()
    models = set(re.findall(r"ref\('([a-z_]+)'\)", code))
    sources = set(re.findall(r"source\('warehouse', '([a-z_]+)'\)", code))
    layer, prefix = path.parent.name, path.stem.split("_")[0]
    if layer == "staging":
        assert prefix == "stg"
        assert (len(sources), models) == (1, set())
        assert not re.search(r"\b(join|group by|distinct|where|union|over)\b", code)
    elif layer == "intermediate":
        assert prefix == "int"
        assert not sources
        assert all(name.startswith(("stg_", "int_")) for name in models)
        # PostgreSQL would plan it by itself: joins of what reads it could not use its indexes
        assert not re.search(r"^with\b", code, re.MULTILINE)
    else:
        assert prefix in {"dim", "fct", "mart", "telemetry"}
        assert sources <= EXPORTS


def test_each_reject_reason_is_a_column_of_the_data_quality_mart() -> None:
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
    assert set(project["vars"]["reject_reasons"]) == set(REJECT_REASONS)
    columns = columns_of("mart_data_quality")
    assert {name for name in columns if name.startswith("rejected_")} == {
        f"rejected_{reason}" for reason in REJECT_REASONS
    }


def test_a_refuel_is_the_same_in_trips_and_between_them() -> None:
    told = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    limits = trip_limits()
    assert told["refuel_percent"] == limits.refuel_percent
    assert told["refuel_noise_factor"] == limits.refuel_noise_factor


def test_seeds_know_all_severities_and_types_of_vehicles() -> None:
    weights = pl.read_csv(PROJECT / "seeds" / "driver_score_weights.csv")
    for _, of_kind in weights.group_by("anomaly_type"):
        assert set(of_kind["severity"]) == set(SEVERITIES)
    assert set(weights["anomaly_type"]) <= set(ANOMALY_TYPES)
    costs = pl.read_csv(PROJECT / "seeds" / "idling_costs.csv")
    assert set(costs["vehicle_type"]) == set(VEHICLE_TYPES)


@pytest.mark.parametrize("path", sorted(PROJECT.glob("models/*/*.sql")), ids=lambda path: path.stem)
def test_every_model_and_column_is_described(path: Path) -> None:
    (model,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
    assert model["name"] == path.stem
    assert model["description"]
    assert all(column["description"] for column in model["columns"])


def test_touched_hours_are_joined_into_windows() -> None:
    pairs = [
        ["2026-01-01T05:00:00Z", "2026-01-01T07:00:00Z"],
        ["2026-01-31T23:00:00Z", "2026-02-01T00:00:00Z"],
    ]
    hours = ["2026-01-31T23", "2026-01-01T06", "2026-01-01T05"]
    assert json.loads(touched_vars(hours)) == {"touched_hours": pairs}
    assert json.loads(touched_environment(hours)["FLEET_DBT_TOUCHED_HOURS"]) == pairs


def test_no_hours_rebuild_nothing_and_none_rebuilds_everything() -> None:
    assert touched_environment([]) == {"FLEET_DBT_TOUCHED_HOURS": "[]"}
    assert touched_environment(None) == {"FLEET_DBT_TOUCHED_HOURS": "null"}


def test_too_many_windows_become_one_that_covers_them() -> None:
    hours = list(hours_between("2026-01-01T00", "2026-03-01T00"))[::2]
    (pair,) = json.loads(touched_environment(hours)["FLEET_DBT_TOUCHED_HOURS"])
    assert pair == ["2026-01-01T00:00:00Z", "2026-03-01T01:00:00Z"]


def test_marked_hours_of_all_topics_fit_into_one_variable() -> None:
    hours = list(hours_between("2026-01-01T00", "2026-03-01T00"))[::2][:MOST_WINDOWS_BY_TOPIC]
    assert marked_environment(None) == {"FLEET_DBT_MARKED_HOURS": "null"}
    told = marked_environment(dict.fromkeys(TOPICS, hours))["FLEET_DBT_MARKED_HOURS"]
    assert len(told) < 128 * 1024
    assert [len(pairs) for pairs in json.loads(told).values()] == [len(hours)] * len(TOPICS)


def test_models_follow_topics_that_are_marked() -> None:
    for path in PROJECT.glob("models/*/*.sql"):
        for followed in re.findall(r'"follows": "([a-z_+]+)"', path.read_text()):
            assert set(followed.split("+")) <= {"hours", *TOPICS}, path.stem


def test_the_address_is_taken_apart_and_nothing_calls_home() -> None:
    environment = dbt_environment("postgresql://me:p%40ss@db.example:6543/fleet?sslmode=require")
    assert (
        environment.items()
        >= {
            "FLEET_DBT_HOST": "db.example",
            "FLEET_DBT_PORT": "6543",
            "FLEET_DBT_USER": "me",
            "FLEET_DBT_PASSWORD": "p@ss",
            "FLEET_DBT_DATABASE": "fleet",
            "FLEET_DBT_SSLMODE": "require",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }.items()
    )
