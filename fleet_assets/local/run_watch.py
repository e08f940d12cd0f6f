"""Fails every unfinished Dagster run whose worker process is dead.

Dagster's code server notices only workers that die while it lives itself; after a kill -9 of it,
or of everything, runs stay STARTED for good, and all that waits for them waits for good. Run by
the supervisor as ``python -m fleet_assets.local.run_watch READY_FILE``: one look before the daemon
starts (when no run can be starting), then one every few seconds.
"""

from __future__ import annotations

import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.dagster_run import RunRecord

INTERVAL = timedelta(seconds=5)
#: A run that has been launched but has named no worker yet may be starting for this long.
STARTING_GRACE = timedelta(seconds=60)

_UNFINISHED = [
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
_WORKER_PID = re.compile(r"Started process for run \(pid: (\d+)\)")
#: The clocks of the boot time and of event times may differ by this much.
_CLOCK_TOLERANCE = timedelta(seconds=5)
#: A process that is a worker of some run may look younger by this much, for a clock put forward.
_STEP_TOLERANCE = timedelta(days=1)


def end_dead_runs(instance: DagsterInstance, starting_grace: timedelta) -> list[str]:
    """Mark unfinished runs without a living worker as failed (or canceled, if that was asked).

    Returns:
        Ids of the runs that were marked.
    """
    ended = []
    for record in instance.get_run_records(RunsFilter(statuses=_UNFINISHED)):
        if _worker_lives(instance, record, starting_grace):
            continue
        # The run may have ended by itself since it was listed, its worker with it.
        run = instance.get_run_by_id(record.dagster_run.run_id)
        if run is None or run.status not in _UNFINISHED:
            continue
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "Its worker process is gone.")
        else:
            instance.report_run_failed(
                run, "Its worker process is gone: it was killed, or the machine went down."
            )
        ended.append(run.run_id)
    return ended


def _worker_lives(instance: DagsterInstance, record: RunRecord, starting_grace: timedelta) -> bool:
    """Whether the process that said it works on the run is still that process."""
    worker: tuple[int, float] | None = None
    for event in instance.all_logs(
        record.dagster_run.run_id, of_type=DagsterEventType.ENGINE_EVENT
    ):
        # The text stands in the event's message; `user_message` is empty for engine events.
        message = event.dagster_event.message if event.dagster_event else event.user_message
        if found := _WORKER_PID.search(message or ""):
            worker = int(found.group(1)), event.timestamp
    if worker is None:
        age = abs(time.time() - record.update_timestamp.timestamp())  # clocks are put back too
        return age < starting_grace.total_seconds()
    pid, started_work = worker
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # A process that began after the worker spoke has only inherited its number. The kernel
        # tells ages and not times, so a step of the clock makes a worker look younger than it is.
        tolerance = _STEP_TOLERANCE if _looks_like_a_worker(process) else _CLOCK_TOLERANCE
        return process.create_time() <= started_work + tolerance.total_seconds()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def look_once() -> None:
    """End dead runs once and print their ids, for `fleet doctor --fix`."""
    with DagsterInstance.get() as instance:
        for run_id in end_dead_runs(instance, STARTING_GRACE):
            sys.stdout.write(f"{run_id}\n")


def _looks_like_a_worker(process: psutil.Process) -> bool:
    return any("execute_run" in word or "spawn_main" in word for word in process.cmdline())


def main(ready_file: Path) -> None:
    """Look once, say so by creating ``ready_file``, and go on looking."""
    with DagsterInstance.get() as instance:
        grace = timedelta(0)
        while True:
            for run_id in end_dead_runs(instance, grace):
                sys.stdout.write(f"run {run_id}: its worker is gone, marked as ended\n")
                sys.stdout.flush()
            ready_file.touch()
            grace = STARTING_GRACE
            time.sleep(INTERVAL.total_seconds())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
