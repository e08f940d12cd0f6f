"""`feature_drift`, `vehicle_models`, `model_choice`: what is done about models each day."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl
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

from fleet_assets.assets.common import OWNERS, markdown_table
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.training import BY, MODEL, told_in
from fleet_assets.lake.training_data import days_with_data
from fleet_assets.mlflow_mirror.mirror import mirror
from fleet_assets.model_choice.decision import Decision
from fleet_assets.model_choice.drift_plot import drift_plot
from fleet_assets.model_flow.choose import choose_models
from fleet_assets.model_flow.chosen import Chosen
from fleet_assets.model_flow.daily import drifted_groups, refresh_all
from fleet_assets.model_flow.drift import DriftOfDay, NothingToReportError, drift_reports
from fleet_assets.model_flow.vehicle_models import Refreshed

MODELS = "models"
DRIFT, VEHICLES, CHOICE = "feature_drift", "vehicle_models", "model_choice"
DAILY = "daily_models"
CHECK = "drift"
_SHOWN = 25


class DayConfig(Config):
    """Which day is worked on."""

    day: str | None = Field(
        default=None, description="Newest day (2026-11-30, UTC); unset: the newest closed one."
    )

    def of(self, platform: Platform) -> date | None:
        """The day; None: no day is closed yet."""
        if self.day is not None:
            return date.fromisoformat(self.day)
        closed = days_with_data(platform.lake)[:-1]
        return closed[-1] if closed else None


class VehiclesConfig(DayConfig):
    """Which day's vehicles are released."""

    repin_from: str | None = Field(
        default=None,
        description="Release the day once more, to serve from this day on (2026-11-30): an explicit"
        " backfill, after which the hours since then have to be scored again.",
    )


class ChoiceConfig(Config):
    """Who asks."""

    made_by: str = Field(default=BY, description="Stands in the audit.")


def build_feature_drift() -> AssetsDefinition:
    """The asset of the drift report."""

    @multi_asset(
        name="report_drift",
        specs=[
            AssetSpec(
                DRIFT,
                deps=["feature_windows"],
                description="Features of the last seven days against the days that the champions"
                " were trained on, by vehicle type: tests corrected for their number, with effect"
                " sizes and plots. An alarm asks for a training, never for a promotion.",
                group_name=MODELS,
                owners=OWNERS,
                kinds={"postgres"},
            )  # never skipped: Dagster would skip vehicle_models with it
        ],
        check_specs=[
            AssetCheckSpec(
                CHECK, asset=DRIFT, description="No feature has drifted since the last training."
            )
        ],
        can_subset=False,  # what may be left out is skippable, too
    )
    def report(
        context: AssetExecutionContext, config: DayConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        day = config.of(platform)
        try:
            if day is None:
                raise NothingToReportError("No day is over yet.")
            told = drift_reports(platform.lake, platform.postgres_url, day)
        except NothingToReportError as error:
            context.log.info(str(error))
            not_tested = {"not tested": MetadataValue.text(str(error))}
            yield MaterializeResult(asset_key=DRIFT, metadata=not_tested)
            yield AssetCheckResult(
                asset_key=DRIFT, check_name=CHECK, passed=True, metadata=not_tested
            )
            return
        except Exception as error:  # a report must not hold up refits and the choice
            context.log.exception("the drift report failed")
            why = {"why": MetadataValue.text(f"{type(error).__name__}: {error}")}
            yield MaterializeResult(asset_key=DRIFT, metadata=why)
            yield AssetCheckResult(asset_key=DRIFT, check_name=CHECK, passed=False, metadata=why)
            return
        yield MaterializeResult(asset_key=DRIFT, metadata=drift_metadata(day, told))
        alarms = sum(each.report.alarms.height for each in told.found)
        types = sorted({name for each in told.found for name in each.report.types_to_train})
        yield AssetCheckResult(
            asset_key=DRIFT,
            check_name=CHECK,
            passed=not alarms,
            severity=AssetCheckSeverity.WARN,
            metadata={
                "alarms": alarms,
                "to be trained anew": ", ".join(types) or "none",
                "not tested": "; ".join(f"{who}: {why}" for who, why in told.untold.items())
                or "none",
            },
        )

    return report


def build_vehicle_models() -> AssetsDefinition:
    """The asset of daily refits."""

    @multi_asset(
        name="refresh_vehicles",
        specs=[
            AssetSpec(
                VEHICLES,
                deps=[MODEL, DRIFT, "telemetry", "vehicle_hours"],
                description="Vehicles refitted, made known or recalibrated by their newest healthy"
                " days, stored where they have changed; those of drifted groups are refitted. A"
                " release serves from the next day on.",
                group_name=MODELS,
                owners=OWNERS,
                kinds={"scikitlearn"},
            )  # never skipped: Dagster would skip model_choice with it
        ],
    )
    def refresh(
        context: AssetExecutionContext, config: VehiclesConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        day, url = config.of(platform), platform.postgres_url
        repin = None if config.repin_from is None else date.fromisoformat(config.repin_from)
        done = {} if day is None else refresh_all(
            platform.lake, url, day,
            drifted=drifted_groups(url, day), repin=repin, progress=told_in(context),
        )  # fmt: skip
        yield MaterializeResult(asset_key=VEHICLES, metadata=vehicles_metadata(day, done))

    return refresh


def build_model_choice() -> AssetsDefinition:
    """The asset of what serves."""

    @multi_asset(
        name="choose_models",
        specs=[
            AssetSpec(
                CHOICE,
                deps=[MODEL, VEHICLES],
                description="Which version serves each group, and why: the first model, the newest"
                " one against the champion on the evaluation set, looks at trials. Every step is a"
                " row of the audit.",
                group_name=MODELS,
                owners=OWNERS,
                kinds={"postgres"},
                skippable=True,
            )
        ],
        can_subset=True,
    )
    def choose(
        context: AssetExecutionContext, config: ChoiceConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        done = choose_models(
            platform.lake, platform.postgres_url, config.made_by, progress=told_in(context)
        )
        for group, told in done.told.items():
            context.log.info(f"{group}: {told}")
        if done.rows:
            context.log.info(mirror(platform.postgres_url, platform.lake.url).in_words)
        yield MaterializeResult(asset_key=CHOICE, metadata=choice_metadata(done))

    return choose


def daily_schedule(job: UnresolvedAssetJobDefinition) -> ScheduleDefinition:
    """Once a day, after the weekly training."""
    return ScheduleDefinition(
        job=job, cron_schedule="10 4 * * *", default_status=DefaultScheduleStatus.RUNNING,
        execution_timezone="UTC",
    )  # fmt: skip


def drift_metadata(day: date, of_day: DriftOfDay) -> dict[str, MetadataValue[Any]]:
    """A drift report for the UI: a plot and the largest movements for each champion."""
    told: dict[str, MetadataValue[Any]] = {
        "day": MetadataValue.text(str(day)),
        **{
            f"{who} was not tested": MetadataValue.text(of_day.untold[who]) for who in of_day.untold
        },
    }
    for each in of_day.found:
        rows = each.report.rows.head(_SHOWN).select(
            "feature", "vehicle_type", "vehicles", "alarm", "effect", "q", "why"
        )
        table = markdown_table(rows.columns, [_cells(row) for row in rows.iter_rows()])
        told |= {
            f"{each.champion} was trained on": MetadataValue.text(
                f"{each.trained.first_day} to {each.trained.last_day}"
            ),
            f"{each.champion} plot": MetadataValue.md(f"![drift]({drift_plot(each.report)})"),
            f"{each.champion} tests": MetadataValue.md(table),
        }
    return told


def vehicles_metadata(
    day: date | None, done: dict[str, Refreshed]
) -> dict[str, MetadataValue[Any]]:
    """What became of the vehicles of each model."""
    if not done:
        why = "no day is over yet" if day is None else "no model serves yet"
        return {"vehicles": MetadataValue.text(f"nothing to do: {why}")}
    names = ("fitted", "settled", "recalibrated", "kept")
    rows = [
        (
            model,
            *(of.counts.get(name, 0) for name in names),
            "–" if of.index is None else str(of.index.serves_from),
            f"{of.seconds:.1f}",
            of.problem or "–",
        )
        for model, of in done.items()
    ]
    header = ("model", *names, "serves from", "seconds", "problem")
    return {
        "day": MetadataValue.text(str(day)),
        "vehicles": MetadataValue.md(markdown_table(header, rows)),
    }


def choice_metadata(done: Chosen) -> dict[str, MetadataValue[Any]]:
    """What was decided, with reasons and numbers."""
    told: dict[str, MetadataValue[Any]] = {
        "groups": MetadataValue.md(
            markdown_table(("group", "what"), list(done.told.items()) or [("–", "no model yet")])
        ),
        "rows of the audit": MetadataValue.int(len(done.rows)),
    }
    if done.decisions:
        told["verdicts"] = MetadataValue.md(_verdicts(done.decisions))
    return told


def _verdicts(found: list[Decision]) -> str:
    frame = pl.concat([decision.frame() for decision in found])
    names = ["group", "verdict", "vehicles", "events", "hours", "champion_recall",
             "challenger_recall", "champion_alarms", "challenger_alarms", "reasons"]  # fmt: skip
    return markdown_table(names, [_cells(row) for row in frame.select(names).iter_rows()])


def _cells(row: tuple[Any, ...]) -> list[str]:
    return [
        "–" if value is None
        else f"{value:.3g}" if isinstance(value, float)
        else str(value).replace("\n", "; ")
        for value in row
    ]  # fmt: skip
