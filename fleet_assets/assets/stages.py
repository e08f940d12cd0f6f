"""Working through the hours of a run one by one, so that one bad hour holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    Failure,
    MetadataValue,
    OpExecutionContext,
    TimeWindowPartitionsDefinition,
)

from fleet_assets.assets.common import listed
from fleet_assets.assets.runs import listed_hours
from fleet_assets.fault_points import fault_point
from fleet_assets.telemetry.validation import InvalidHourError, Verdict
from fleet_assets.warehouse.ledger import LedgerEntry, Stage, read_ledger, record, record_failure
from fleet_assets.warehouse.overrides import released_hours

T = TypeVar("T")

CONTRACT_CHECK = "contract"
CONTRACT_TEXT = (
    "The rows fulfil the table's contract: types, nulls, bounds, keys, hour (Pandera). Checked"
    " before the commit; 0 rows checked: nothing has changed since the last verdict."
)

_AFTER: Mapping[Stage, tuple[Stage, ...]] = {
    "telemetry": ("vehicle_hours", "warehouse"),
    "vehicle_hours": ("warehouse",),
}
"""What depends on a stage, hour by hour. In a run of one hour its failure ends the run, so that
the stages after it do not get to say that they are withheld."""


def contract_checks(
    tables: Iterable[str], partitions_def: TimeWindowPartitionsDefinition
) -> list[AssetCheckSpec]:
    """The check `contract` of each of these tables, hour by hour or day by day."""
    return [
        AssetCheckSpec(
            CONTRACT_CHECK, asset=table, description=CONTRACT_TEXT, partitions_def=partitions_def
        )
        for table in tables
    ]


def hours_of_run(context: AssetExecutionContext | OpExecutionContext) -> list[str]:
    """The hours, or days, that a run works on."""
    return listed_hours(context.run) or list(context.partition_keys)


def work_hours(
    context: AssetExecutionContext,
    postgres_url: str,
    stage: Stage,
    work: Callable[[str], T],
    version_of: Callable[[T], int],
    rows_of: Callable[[T], int],
    upstream: Stage | None,
    on_failure: Callable[[str, Exception], None],
    together: Callable[[Sequence[str]], Mapping[str, T]] | None = None,
) -> dict[str, T]:
    """Does the work for each hour of the run and notes in the ledger how it went.

    An hour whose upstream stage failed is withheld, unless an override lets it go on with what it
    last had. In a run of one hour a failure fails the run, so that the UI shows the partition as
    failed; in a range the other hours go on, and so does what depends on a released hour.

    Args:
        together: does many hours at once and may leave any out, which are then done one by one.

    Returns:
        Results of the hours that went well.
    """
    event_hours = hours_of_run(context)
    held_back = _failed(postgres_url, upstream, event_hours) if upstream else {}
    done: dict[str, T] = {}
    failed: dict[str, str] = {}
    released = released_hours(postgres_url, stage, event_hours)
    if together is not None and len(event_hours) > 1:
        done |= together([hour for hour in event_hours if hour not in held_back])
        context.log.info(f"{len(done)} of {len(event_hours)} hours done together")
    for number, event_hour in enumerate(event_hours, start=1):
        if event_hour in held_back:
            entry = LedgerEntry(stage, event_hour, state="withheld", detail=held_back[event_hour])
            record(postgres_url, [entry])
            context.log.warning(f"{event_hour} withheld: {held_back[event_hour]}")
            continue
        if event_hour in done:
            continue
        try:
            done[event_hour] = work(event_hour)
            fault_point(f"stages.{stage}_worked")
        except Exception as error:
            failed[event_hour] = in_words(error)
            record_failure(postgres_url, stage, [event_hour], failed[event_hour], context.run_id)
            reason = f"{stage} failed: {failed[event_hour]}"
            record(
                postgres_url,
                [
                    LedgerEntry(s, event_hour, state="withheld", detail=reason)
                    for s in _AFTER.get(stage, ())
                    if event_hour not in released
                ],
            )
            on_failure(event_hour, error)
            context.log.error(f"{event_hour} failed and is left as it was: {failed[event_hour]}")
        else:
            context.log.info(f"{event_hour} done ({number} of {len(event_hours)})")
    record(
        postgres_url,
        [
            LedgerEntry(
                stage, hour, processed_version=version_of(result), rows=rows_of(result),
                run_id=context.run_id,
            )
            for hour, result in done.items()
        ],
    )  # fmt: skip
    fault_point(f"stages.{stage}_noted")
    if failed and len(event_hours) == 1 and event_hours[0] not in released:
        raise Failure(f"{event_hours[0]}: {failed[event_hours[0]]}")
    if held_back and len(event_hours) == 1:
        raise Failure(f"{event_hours[0]} is withheld: {held_back[event_hours[0]]}")
    return done


def add_hour_metadata(
    context: AssetExecutionContext, asset: str, event_hour: str, metadata: Mapping[str, Any]
) -> None:
    """Metadata of one hour's (or day's) materialisation of one asset.

    Dagster materialises the partitions of the run by itself; the hours that the run has besides
    them are told here.
    """
    if event_hour in context.partition_keys:
        context.add_asset_metadata(metadata, asset_key=asset, partition_key=event_hour)
    else:
        context.log_event(AssetMaterialization(asset, partition=event_hour, metadata=metadata))


def tell_failure(
    context: AssetExecutionContext, asset: str, event_hour: str, error: Exception
) -> None:
    """Shows at one hour of one asset why it is left as it was."""
    metadata = failure_metadata(error)
    if event_hour in context.partition_keys:
        context.add_asset_metadata(metadata, asset_key=asset, partition_key=event_hour)
    else:
        context.log_event(AssetObservation(asset, partition=event_hour, metadata=metadata))


def log_check(
    context: AssetExecutionContext | OpExecutionContext, evaluation: AssetCheckEvaluation
) -> None:
    """Logs the verdict of one check on one hour, whatever the other hours of the run give."""
    context.log_event(evaluation)  # type: ignore[arg-type]  # it is handled, only not annotated


def contract_evaluation(verdict: Verdict, event_hour: str | None) -> AssetCheckEvaluation:
    """The verdict on a table's contract as Dagster's check `contract`."""
    return AssetCheckEvaluation(
        asset_key=AssetKey(verdict.table),
        check_name=CONTRACT_CHECK,
        passed=verdict.passed,
        metadata={
            "rows checked": MetadataValue.int(verdict.rows),
            "failures": listed(verdict.failures),
        },
        partition=event_hour,
    )


def verdicts_of(error: Exception, table: str) -> list[Verdict]:
    """Verdicts of an hour that failed; what could not even be checked fails its check too."""
    if isinstance(error, InvalidHourError):
        return error.verdicts
    return [Verdict(table, 0, (f"the rows cannot be made: {in_words(error)}",))]


def failure_metadata(error: Exception) -> dict[str, MetadataValue[Any]]:
    """What is shown of an hour that failed."""
    return {"state": MetadataValue.text("failed"), "error": MetadataValue.text(in_words(error))}


def _failed(postgres_url: str, stage: Stage, event_hours: list[str]) -> dict[str, str]:
    released = released_hours(postgres_url, stage, event_hours)
    held_back = [hour for hour in event_hours if hour not in released]
    entries = read_ledger(postgres_url, stage, held_back)
    return {
        e.event_hour: f"{stage} {e.state}: {e.detail or 'no detail'}"
        for e in entries
        if e.state != "fresh"
    }


def in_words(error: Exception) -> str:
    """A failure in a line or a few."""
    if isinstance(error, InvalidHourError):
        return str(error)
    return f"{type(error).__name__}: {error}"[:2000]
