"""What a backfill may be told, how it is cut into runs, what it says it will cost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.assets.runs import HOURS_TAG, PARTITION
from fleet_assets.backfill import drive
from fleet_assets.backfill.plan import (
    FIGURES,
    MOST_MESSAGES,
    Measured,
    chunks,
    cost,
    hours_wanted,
)
from fleet_assets.backfill.steps import (
    MARTS,
    STEP_BY_NAME,
    STEPS,
    Step,
    assets_from,
    chosen_steps,
    names,
    run_config,
)
from fleet_assets.definitions import build_defs
from fleet_assets.errors import FleetError
from partitions.hours import hour_key, hour_start
from partitions.planning import LONGEST_RANGE

MODELS = ["fct_vehicle_days"]
TELEMETRY, LOAD = STEP_BY_NAME["refresh_telemetry"], STEP_BY_NAME["load_warehouse"]
START = hour_start("2026-01-01T00")
messages = st.dictionaries(
    st.integers(0, 400).map(lambda n: hour_key(START + timedelta(hours=n))),
    st.integers(0, 2 * MOST_MESSAGES),
)


@given(messages)
def test_chunks_hold_each_hour_once_and_are_small(held: dict[str, int]) -> None:
    found = chunks(held)
    assert [hour for keys in found for hour in keys] == sorted(held)
    for keys in found:
        assert len(keys) <= LONGEST_RANGE
        assert len(keys) == 1 or sum(held[key] for key in keys) <= MOST_MESSAGES


@given(messages)
def test_more_hours_cost_more_and_slow_runs_raise_the_estimate(held: dict[str, int]) -> None:
    whole = cost(TELEMETRY, held, [])
    assert whole.runs == len(chunks(held))
    part = dict(list(held.items())[1:])
    assert cost(TELEMETRY, part, []).seconds <= whole.seconds
    expected = cost(TELEMETRY, {"2026-01-01T00": 1_000_000}, []).seconds
    twice = Measured(TELEMETRY.name, 1, 1_000_000, timedelta(seconds=2 * expected))
    other = Measured("judge_by_rules", 1, 1, timedelta(days=1))
    slower = cost(TELEMETRY, held, [twice, other])
    assert slower.seconds == pytest.approx(2 * whole.seconds)
    assert slower.measured_runs == 1


def test_steps_are_chosen_in_the_order_of_the_flow_and_once_a_job() -> None:
    chosen = chosen_steps(["scoring", "vehicle_hours", "telemetry_rejects", "rules"], MODELS)
    assert [step.name for step in chosen] == [
        "refresh_telemetry", "judge_by_rules", "judge_by_models",
    ]  # fmt: skip
    assert chosen_steps(["fct_vehicle_days"], MODELS) == [LOAD]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("telemetri", "Did you mean telemetry"),
        ("fct_vehicle_day", "Did you mean fct_vehicle_days"),
        ("qqqq", "`--help` lists"),
        ("raw_telemetry", "landed from Kafka once"),
    ],
)
def test_an_unknown_name_is_told_with_near_ones(name: str, told: str) -> None:
    with pytest.raises(FleetError, match=told):
        chosen_steps([name], MODELS)


def test_days_and_hours_may_be_mixed() -> None:
    assert hours_wanted("2026-01-01T22", "2026-01-02")[:3] == [
        "2026-01-01T22", "2026-01-01T23", "2026-01-02T00",
    ]  # fmt: skip
    assert len(hours_wanted("2026-01-01", "2026-01-02")) == 48
    with pytest.raises(FleetError, match="neither an hour such as"):
        hours_wanted("yesterday", "2026-01-02")
    with pytest.raises(FleetError, match="lies before"):
        hours_wanted("2026-01-03", "2026-01-02")


def test_a_run_begins_at_its_step_and_leaves_out_what_is_before_it() -> None:
    made = {"telemetry": TELEMETRY.name, "vehicle_hours": "refresh_vehicle_hours",
            "warehouse_vehicle_hours": LOAD.name, "fct_vehicle_hours": MARTS}  # fmt: skip
    assert assets_from(TELEMETRY, made) is None
    assert assets_from(LOAD, made) == ["fct_vehicle_hours", "warehouse_vehicle_hours"]


@pytest.fixture(scope="module")
def defs(flow_home: Path) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_HOME", str(flow_home))
        return build_defs()


def test_the_names_are_those_of_dagster(defs: dg.Definitions) -> None:
    for step in STEPS:
        job = defs.resolve_job_def(step.job)
        assert step.name in {node.name for node in job.graph.nodes}
    graph = defs.resolve_asset_graph()
    steps = {
        key.to_user_string(): graph.get(key).assets_def.op.name
        for key in graph.materializable_asset_keys
        if isinstance(graph.get(key).partitions_def, dg.TimeWindowPartitionsDefinition)
    }
    landed = {"raw_telemetry"}
    assert {a: s for a, s in steps.items() if a not in landed} == {
        table: step.name for step in STEPS for table in step.tables
    }
    assert set(FIGURES) == set(STEP_BY_NAME)
    assert names(()).keys() >= {step.job for step in STEPS}
    assert (drive.KEYS_TAG, drive._PARTITION) == (HOURS_TAG, PARTITION)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("repin", [False, True])
def test_dagster_takes_the_config_of_a_run(defs: dg.Definitions, step: Step, repin: bool) -> None:
    assert dg.validate_run_config(defs.resolve_job_def(step.job), run_config(step, repin=repin))
