"""Scoring across lake and warehouse: what is left to do, its order, doing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet_assets.lake.by_onset import Stitched, stitch_hours
from fleet_assets.lake.model_anomalies import FOLLOWS, by_models
from fleet_assets.lake.model_segments import hours_to_score
from fleet_assets.lake.store import Lake
from fleet_assets.scoring.book import ModelBook
from fleet_assets.warehouse.ledger import read_ledger, record_failure
from fleet_assets.warehouse.load_stale import SCORED, hours_to_load, load_copied


@dataclass(frozen=True)
class ScoringWork:
    """Hours that models have to look at, and hours that wait for their next attempt.

    Attributes:
        hours: due now, the newest first.
        waiting: failed before and not due yet, or the stage before has failed.
        to_load: nothing is to be judged, but the warehouse lacks what the lake has.
    """

    hours: tuple[str, ...]
    waiting: tuple[str, ...]
    to_load: bool


def scoring_work(
    lake: Lake,
    postgres_url: str,
    book: ModelBook,
    *,
    compare_models: bool = True,
    now: datetime | None = None,
) -> ScoringWork:
    """Compares windows, models, what was found, and the warehouse.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        book: the models.
        compare_models: look at the models that hours were judged by, too.
        now: the moment of the decision.
    """
    now = now or datetime.now(UTC)
    stale = set(hours_to_score(lake, book, compare_models=compare_models))
    stale |= set(FOLLOWS.hours_left(lake))
    failed = read_ledger(postgres_url, "scoring", state="failed")
    waiting = {e.event_hour for e in failed if e.next_attempt_at and e.next_attempt_at > now}
    waiting |= {e.event_hour for e in read_ledger(postgres_url, "features", state="failed")}
    return ScoringWork(
        tuple(sorted(stale - waiting, reverse=True)),
        tuple(sorted(stale & waiting)),
        bool(hours_to_load(lake, postgres_url, SCORED)),
    )


@dataclass(frozen=True)
class ScoresSettled:
    """What followed from hours that were scored.

    Attributes:
        written: hours of `model_anomalies` that were written.
        loaded: rows by table and hour in the warehouse.
    """

    written: Stitched
    loaded: Mapping[str, Mapping[str, int]]


def settle_scores(lake: Lake, postgres_url: str, run_id: str | None) -> ScoresSettled:
    """From pieces to the warehouse, also what a run that was cut off has left.

    A failure is noted for the hours that it holds up, so that they are tried again later.
    """
    waiting = FOLLOWS.hours_left(lake)
    try:
        written = stitch_hours(lake, waiting, by_models())
    except Exception as error:
        told = f"{type(error).__name__}: {error}"[:2000]
        record_failure(postgres_url, "scoring", waiting, told, run_id)
        raise
    loaded: dict[str, Mapping[str, int]] = {
        name: load_copied(lake, postgres_url, name, run_id) for name in SCORED
    }
    return ScoresSettled(written, loaded)
