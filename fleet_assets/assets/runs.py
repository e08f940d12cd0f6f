"""What is asked of the instance: which runs are not finished, and what they work on."""

from __future__ import annotations

from collections.abc import Sequence

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from fleet_assets.assets.common import LANE_TAG
from partitions.hours import hours_between, is_hour

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
HOURS_TAG = "fleet/hours"
"""Tag of a run over hours (or days) that lie apart: all of them, with commas between. Dagster knows
ranges only, so such a run has the first one as its partition and tells of the others by itself."""
LONG_TAG = "fleet/long"
"""Tag of runs that take minutes; `dagster.yaml` lets one of them run at a time."""
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def unfinished_runs(instance: DagsterInstance, job_name: str | None = None) -> Sequence[DagsterRun]:
    """Runs that are queued or under way; `fleet up`'s watcher fails those whose worker is dead."""
    return instance.get_runs(RunsFilter(job_name=job_name, statuses=_UNFINISHED))


def hours_of(runs: Sequence[DagsterRun]) -> frozenset[str]:
    """Hours that the runs work on, by their partition tags; runs over days work on none."""
    hours: set[str] = set()
    for run in runs:
        hours.update(key for key in listed_hours(run) if is_hour(key))
        first = run.tags.get(RANGE_START) or run.tags.get(PARTITION)
        last = run.tags.get(RANGE_END) or first
        if first and last and is_hour(first):
            hours.update(hours_between(first, last))
    return frozenset(hours)


def listed_hours(run: DagsterRun) -> list[str]:
    """The hours, or days, of a run over such that lie apart; of any other run, none."""
    listed = run.tags.get(HOURS_TAG)
    return listed.split(",") if listed else []


def lanes_of(runs: Sequence[DagsterRun]) -> frozenset[str]:
    """Lanes that the runs were requested in."""
    return frozenset(run.tags[LANE_TAG] for run in runs if LANE_TAG in run.tags)


def younger_history_run(instance: DagsterInstance, run: DagsterRun) -> bool:
    """A later refresh of history is under way, and this one is history too.

    Only a later one counts, so two runs cannot each leave a thing to the other.
    """
    if not run.tags.get(LANE_TAG, "").startswith("history"):
        return False
    records = instance.get_run_records(RunsFilter(statuses=_UNFINISHED))
    created = {r.dagster_run.run_id: r.storage_id for r in records}
    mine = created.get(run.run_id, 0)
    return any(
        r.storage_id > mine and r.dagster_run.tags.get(LANE_TAG, "").startswith("history")
        for r in records
    )
