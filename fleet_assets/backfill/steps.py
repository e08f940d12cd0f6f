"""What `fleet backfill` can be told to make anew: steps of jobs, by the names of their tables.

A step is made anew with what follows it in its job, so that marts never lag behind the lake. What
follows in other jobs is asked for by their sensors, because the marks of its inputs have changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal

from fleet_assets.errors import FleetError

Unit = Literal["hour", "day"]


@dataclass(frozen=True)
class Step:
    """One step of a job.

    Attributes:
        name: of the step in Dagster.
        job: the job that it belongs to.
        stages: entries of the ledger that tell how it went.
        tables: names of the assets that it makes; those of dbt are found by its models.
        unit: what its partitions are.
        repins: it can be told to choose its pinned inputs anew.
    """

    name: str
    job: str
    stages: tuple[str, ...]
    tables: tuple[str, ...]
    unit: Unit = "hour"
    repins: bool = False


MARTS: Final = "build_marts"
STEPS: Final = (
    Step(
        "refresh_telemetry", "refresh", ("telemetry",),
        ("telemetry", "telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes"),
    ),
    Step(
        "refresh_vehicle_hours", "refresh", ("vehicle_hours",),
        ("vehicle_hour_states", "vehicle_hours"),
    ),
    Step(
        "load_warehouse", "refresh", ("warehouse",),
        ("warehouse_vehicle_hours", "warehouse_vehicle_outcomes", "warehouse_telemetry_outcomes",
         "warehouse_telemetry_replays"),
    ),
    Step(
        "judge_by_rules", "trips_and_anomalies", ("rules",),
        ("segments", "vehicle_codes", "rule_eligibility", "trip_segments", "trips",
         "rule_anomalies", "anomalies", "warehouse_anomalies", "warehouse_rule_anomalies",
         "warehouse_rule_eligibility", "warehouse_trips", "warehouse_vehicle_codes"),
        repins=True,
    ),
    Step("refresh_feature_windows", "features", ("features",), ("feature_windows",), repins=True),
    Step("summarise_days", "baselines", ("feature_days",), ("feature_days",), unit="day"),
    Step(
        "make_baselines", "baselines", ("vehicle_baselines",), ("vehicle_baselines",),
        unit="day", repins=True,
    ),
    Step(
        "judge_by_models", "scoring", ("scoring",),
        ("model_hours", "model_segments", "model_anomalies", "warehouse_model_hours",
         "warehouse_model_anomalies"),
    ),
)  # fmt: skip
"""In the order of the flow. Marts follow the load of their hours, so `load_warehouse` makes them
anew."""
STEP_BY_NAME: Final[Mapping[str, Step]] = {step.name: step for step in STEPS}
_GROUPS: Final[Mapping[str, str]] = {
    "refresh": "refresh_telemetry",
    "lake": "refresh_telemetry",
    "quality": "refresh_telemetry",
    "warehouse": "load_warehouse",
    "marts": "load_warehouse",
    "trips_and_anomalies": "judge_by_rules",
    "rules": "judge_by_rules",
    "features": "refresh_feature_windows",
    "baselines": "summarise_days",
    "scoring": "judge_by_models",
}
_FROM_ELSEWHERE: Final = {
    "raw_telemetry": "it is landed from Kafka once and never made anew",
    "landings": "it says what was landed from Kafka",
}


def names(models: Iterable[str]) -> dict[str, Step]:
    """All names that may be given, with the step that each begins at.

    Args:
        models: names of dbt's models.
    """
    of_tables = {table: step for step in STEPS for table in step.tables}
    of_models = dict.fromkeys(models, STEP_BY_NAME["load_warehouse"])
    of_groups = {name: STEP_BY_NAME[step] for name, step in _GROUPS.items()}
    return {**of_models, **of_tables, **of_groups}


def chosen_steps(wanted: Sequence[str], models: Iterable[str]) -> list[Step]:
    """The first step to make anew of each job, in the order of the flow.

    Args:
        wanted: names of assets, groups or jobs.
        models: names of dbt's models.

    Raises:
        FleetError: a name is not known.
    """
    known = names(models)
    for name in wanted:
        if name in _FROM_ELSEWHERE:
            raise FleetError(f"{name} cannot be made anew: {_FROM_ELSEWHERE[name]}.")
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else "`--help` lists all names."
            raise FleetError(f"Nothing is called {name!r}. {hint}")
    first: dict[str, Step] = {}
    for step in STEPS:
        if any(known[name] == step for name in wanted):
            first.setdefault(step.job, step)
    return list(first.values())


def steps_from(step: Step) -> list[Step]:
    """The step and what follows it in its job."""
    of_job = [other for other in STEPS if other.job == step.job]
    return of_job[of_job.index(step) :]


def assets_from(step: Step, step_of_asset: Mapping[str, str]) -> list[str] | None:
    """Assets of a run that begins at a step; None: all of the job.

    Args:
        step: where it begins.
        step_of_asset: of the job's assets, the steps that make them, as Dagster knows them.
    """
    before = {other.name for other in STEPS if other.job == step.job} - {
        other.name for other in steps_from(step)
    }
    if not before:
        return None
    return sorted(asset for asset, name in step_of_asset.items() if name not in before)


def run_config(step: Step, *, repin: bool) -> dict[str, Any]:
    """Of a run that begins at a step. What is asked for by hand makes all anew by itself."""
    repinned = [other for other in steps_from(step) if other.repins] if repin else []
    return {"ops": {other.name: {"config": {"repin": True}} for other in repinned}}
