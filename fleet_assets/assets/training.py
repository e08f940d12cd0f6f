"""`training_set` and `trained_model`: a training as people see it in the UI, weekly or by hand."""

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    Config,
    DefaultScheduleStatus,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    multi_asset,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from fleet_assets.assets.common import OWNERS, markdown_table, warehouse_key
from fleet_assets.assets.platform import Platform
from fleet_assets.mlflow_mirror.mirror import mirror
from fleet_assets.model_choice.audit import state_of
from fleet_assets.model_flow.failures import noted_on_failure
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.model_flow.incidents import feedback_of
from fleet_assets.model_flow.recipes import making_now
from fleet_assets.model_flow.set_files import read_card
from fleet_assets.model_flow.train import TooLittleDataError, Trained, recipe_of, train_model
from fleet_assets.model_flow.training_sets import SetSettings, make_training_set
from fleet_assets.warehouse.model_registry import read_audit

TRAINING = "training"
SET, MODEL = "training_set", "trained_model"
STEP, TRAIN = "make_models", "train_models"
"""Names of the step and of the job."""
CHECK = "training"
BY = "schedule"


class TrainingConfig(Config):
    """What is trained on, and how. All of it is part of the names of set and model.

    Where these settings were tried and do not serve, those of the champion take their place,
    unless a set is named.
    """

    training_set: str | None = Field(
        default=None,
        description="Train on this set (`ts-…`), which is there already; unset: make one.",
    )
    span_days: int = Field(
        default=SetSettings.span_days, ge=1, description="Days back from the newest closed"
        " one that vehicles and days are chosen from.",
    )  # fmt: skip
    last_day: str | None = Field(
        default=None, description="Newest day (2026-11-30, UTC); unset: the newest closed one."
    )
    seed: int = Field(
        default=SetSettings.seed,
        description="Another one chooses other vehicles, days and faults.",
    )
    most_vehicles: int = Field(
        default=SetSettings.most_vehicles,
        ge=1,
        description="Vehicles in the set; others are made known day by day.",
    )
    hours: float = Field(
        default=SetSettings.hours, gt=0, description="Healthy vehicle-hours in all."
    )
    faulty_hours: float = Field(
        default=SetSettings.faulty_hours,
        gt=0,
        description="Vehicle-hours that faults are injected into.",
    )
    virtual_each: int = Field(
        default=SetSettings.virtual_each, ge=0, description="Most virtual vehicles of a real one,"
        " where a type has few real ones; 0: none.",
    )  # fmt: skip
    made_by: str = Field(default=BY, description="Who asks for it; stands in registry and audit.")

    def settings(self) -> SetSettings:
        """Of the training set."""
        last = None if self.last_day is None else date.fromisoformat(self.last_day)
        return SetSettings(
            self.span_days, last, self.seed, self.most_vehicles, self.hours,
            faulty_hours=self.faulty_hours, virtual_each=self.virtual_each,
        )  # fmt: skip


def build_training() -> AssetsDefinition:
    """Both assets; one step makes them, because the second one is of the first."""

    @multi_asset(
        name=STEP,
        specs=[
            AssetSpec(
                SET,
                deps=["telemetry", "vehicle_hours", "rule_anomalies", warehouse_key("vehicles")],
                description="Healthy windows, the same days with injected faults, and labels of"
                " three sources (injected, feedback, rule), chosen by hash and bounded. Named by a"
                " hash of what it is made of; lies under the lake's artifacts.",
                group_name=TRAINING,
                owners=OWNERS,
                kinds={"parquet"},
                skippable=True,
            ),
            AssetSpec(
                MODEL,
                deps=[SET],
                description="Isolation Forests by vehicle type, Random Forests of vehicles and of"
                " faults, trained on the newest training set. A version serves once `model_choice`"
                " says so.",
                group_name=TRAINING,
                owners=OWNERS,
                kinds={"scikitlearn"},
                skippable=True,
            ),
        ],
        check_specs=[
            AssetCheckSpec(
                CHECK,
                asset=MODEL,
                description="The last training made a model. It warns where there is too little"
                " data yet. Whatever it says, the champion goes on serving.",
            )
        ],
        can_subset=False,
    )
    def train(
        context: AssetExecutionContext, config: TrainingConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        lake, url = platform.lake, platform.postgres_url
        types, feedback = groups_of_register(url), feedback_of(url)
        told = told_in(context)
        try:
            with noted_on_failure(url, set(types.values()), config.made_by):
                making = making_now(
                    url, config.settings(), recipe_of(config.seed), config.training_set
                )
                told(making.why, 0.0)
                set_id = config.training_set or make_training_set(
                    lake, types, feedback, making.settings, told
                )
                card = read_card(lake.url, set_id)
                yield MaterializeResult(asset_key=SET, metadata=set_metadata(card))
                made = train_model(lake, url, set_id, feedback, config.made_by, making.recipe, told)
        except TooLittleDataError as error:
            context.log.warning(str(error))
            yield _failed(str(error), AssetCheckSeverity.WARN)
            return
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            audit = read_audit(url)
            serving = {group: state_of(audit, group) for group in sorted(set(types.values()))}
            yield _failed(why, AssetCheckSeverity.ERROR, serving)
            raise
        mirrored = mirror(url, lake.url)  # nothing depends on it; what goes wrong is told
        metadata = model_metadata(made) | {
            "recipe": MetadataValue.text(making.why),
            "MLflow": MetadataValue.text(mirrored.in_words),
        }
        yield MaterializeResult(asset_key=MODEL, metadata=metadata)
        yield AssetCheckResult(
            asset_key=MODEL, check_name=CHECK, passed=True,
            metadata={"version": made.version_id, "seconds": MetadataValue.float(made.seconds)},
        )  # fmt: skip

    return train


def training_schedule(job: UnresolvedAssetJobDefinition) -> ScheduleDefinition:
    """Weekly, at a quiet hour."""
    return ScheduleDefinition(
        job=job, cron_schedule="10 3 * * 1", default_status=DefaultScheduleStatus.RUNNING,
        execution_timezone="UTC",
    )  # fmt: skip


def told_in(context: AssetExecutionContext) -> Callable[[str, float], None]:
    """Progress as lines of the run's log."""
    return lambda what, share: context.log.info(f"{share:.0%} {what}")


def _failed(
    why: str, severity: AssetCheckSeverity, serving: Mapping[str, Any] | None = None
) -> AssetCheckResult:
    state = {
        group: "no model" if of is None else f"{of.champion} goes on"
        for group, of in (serving or {}).items()
    }
    return AssetCheckResult(
        asset_key=MODEL,
        check_name=CHECK,
        passed=False,
        severity=severity,
        description=why[:500],
        metadata={"why": why, **{f"serving {group}": told for group, told in state.items()}},
    )


def set_metadata(card: Mapping[str, Any]) -> dict[str, MetadataValue[Any]]:
    """What a training set is, for the UI."""
    counts = ("vehicle_days", "driven_hours", "windows", "faulty_windows", "faults")
    tables = {"vehicles by group": "groups", "faults by kind": "faults_by_kind",
              "labels by source": "labels_by_source"}  # fmt: skip
    return {
        "id": MetadataValue.text(card["id"]),
        "data version": MetadataValue.text(card["data_version"]),
        "span": MetadataValue.text(f"{card['from']} to {card['to']}"),
        "vehicles": MetadataValue.int(len(card["vehicles"])),
        **{name.replace("_", " "): MetadataValue.int(card[name]) for name in counts},
        **{
            title: MetadataValue.md(markdown_table(("", "count"), list(card[name].items())))
            for title, name in tables.items()
        },
    }


def model_metadata(made: Trained) -> dict[str, MetadataValue[Any]]:
    """What a training has made, with its plots."""
    figures = made.card["figures"].get("held_out_days", {})
    rows = [(name, "–" if value is None else f"{value:,.4g}") for name, value in figures.items()]
    return {
        "version": MetadataValue.text(made.version_id),
        "training set": MetadataValue.text(made.card["training_set"]),
        "seconds": MetadataValue.float(made.seconds),
        "days of": MetadataValue.text(str(made.card["figures"].get("of", "none"))),
        "on days that no training sees": MetadataValue.md(
            markdown_table(("figure", ""), rows)
            if rows
            else str(made.card["figures"].get("none", "no figures"))
        ),
        **{name.replace("_", " "): picture(name, png) for name, png in made.plots.items()},
        "limits": MetadataValue.md("\n".join(f"- {each}" for each in made.card["limits"])),
    }


def picture(name: str, png: bytes) -> MetadataValue[Any]:
    """A plot within markdown, so that the UI shows it."""
    return MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")
