"""Working through the days of a run one by one, so that one bad day holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from dagster import AssetExecutionContext, Failure

from fleet_assets.assets.stages import (
    contract_evaluation,
    hours_of_run,
    in_words,
    log_check,
    tell_failure,
    verdicts_of,
)
from fleet_assets.warehouse.day_ledger import DayStage, note_days, note_failed_day

T = TypeVar("T")


def work_days(
    context: AssetExecutionContext,
    postgres_url: str,
    stage: DayStage,
    days: Sequence[str],
    work: Callable[[str], T],
    rows_of: Callable[[T], int],
) -> dict[str, T]:
    """Does the work for each day and notes how it went.

    In a run of one day a failure fails the run, so that the UI shows the partition as failed; in a
    longer one the other days go on. It is tried again later, at growing distances.

    Args:
        context: of the step.
        postgres_url: the warehouse.
        stage: the table.
        days: those of the run that are to be worked on.
        work: what is to be done for a day.
        rows_of: rows of its result.

    Returns:
        Results of the days that went well.
    """
    done: dict[str, T] = {}
    failed: dict[str, str] = {}
    for number, day in enumerate(days, start=1):
        try:
            done[day] = work(day)
        except Exception as error:
            failed[day] = in_words(error)
            note_failed_day(postgres_url, stage, day, failed[day], context.run_id)
            for verdict in verdicts_of(error, stage):
                log_check(context, contract_evaluation(verdict, day))
            tell_failure(context, stage, day, error)
            context.log.error(f"{day} failed and is left as it was: {failed[day]}")
        else:
            context.log.info(f"{day} done ({number} of {len(days)})")
    rows = {day: rows_of(result) for day, result in done.items()}
    note_days(postgres_url, stage, rows, context.run_id)
    if failed and len(hours_of_run(context)) == 1:
        raise Failure(f"{days[0]}: {failed[days[0]]}")
    return done
