"""Dagster's runs, sensors and checks: dead, stuck, failing, never evaluated; its event log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fleet_assets.doctor.finding import Finding, shortened, size, span

STUCK_SECONDS = 30 * 60
QUEUE_SECONDS = 10 * 60
LARGE_EVENT_LOG = 2 * 1024**3
EXPECTED_CHECKS: Mapping[tuple[str, str], float | None] = {
    ("raw_telemetry", "contract"): None,
    ("landings", "contract"): None,
    ("landings", "offsets"): 3600,
    ("telemetry", "contract"): None,
    ("telemetry_rejects", "contract"): None,
    ("telemetry_outcomes", "contract"): None,
    ("telemetry_outcomes", "conservation"): None,
    ("vehicle_outcomes", "contract"): None,
    ("vehicle_hours", "contract"): None,
    ("fct_vehicle_hours", "freshness"): 900,
}
"""Checks that run by themselves once there are data → how old their verdict may be, in seconds;
None: they are evaluated with the work that they judge."""


@dataclass(frozen=True)
class RunFact:
    """One run that is not finished.

    Attributes:
        silent_seconds: since its last event.
        worker: whether its process lives; `unnamed`: none has reported yet.
    """

    run_id: str
    job: str
    status: str
    silent_seconds: float
    worker: Literal["alive", "dead", "unnamed"]


@dataclass(frozen=True)
class FailedJob:
    """A job whose newest finished runs have failed."""

    job: str
    failures: int
    newest_run: str
    error: str


@dataclass(frozen=True)
class RunFacts:
    """What Dagster's storage tells.

    Attributes:
        unfinished: runs that are queued or under way.
        failed: jobs that have only failed since their last success.
        failing_ticks: sensor or schedule → error of its newest tick.
        failing_checks: checks whose newest verdict is a failure, `asset:check hour`.
        verdict_age_seconds: (asset, check) → age of its newest verdict; missing: never evaluated.
        has_data: something has landed and was refreshed, so checks must have run.
        age_seconds: since the first run of this installation.
        event_log_bytes: size of Dagster's event log.
        daemon_runs: the daemon is there to evaluate what is due.
    """

    unfinished: Sequence[RunFact] = ()
    failed: Sequence[FailedJob] = ()
    failing_ticks: Mapping[str, str] = field(default_factory=dict)
    failing_checks: Sequence[str] = ()
    verdict_age_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    has_data: bool = False
    age_seconds: float = math.inf
    event_log_bytes: int = 0
    daemon_runs: bool = True


def check_runs(facts: RunFacts) -> list[Finding]:
    """Runs, ticks, checks and the event log."""
    found = [finding for run in facts.unfinished for finding in _unfinished(run)]
    found += [
        Finding(
            "runs",
            f"the job {job.job} has failed {job.failures} times since it last went well, newest run"
            f" {job.newest_run[:8]}: {job.error[:200]}",
            "remove the cause; the run's page in the Dagster UI has the whole story",
        )
        for job in facts.failed
    ]
    found += [
        Finding(
            "sensors",
            f"the newest tick of {name} failed: {error[:200]}",
            "remove the cause; it is tried again by itself",
        )
        for name, error in sorted(facts.failing_ticks.items())
    ]
    found += shortened(
        [
            Finding("checks", f"{check} fails", "its verdict in the Dagster UI says why")
            for check in facts.failing_checks
        ],
        "`fleet status --json`",
    )
    found += _verdicts(facts)
    if facts.event_log_bytes > LARGE_EVENT_LOG:
        found.append(
            Finding(
                "event log",
                f"Dagster's event log takes {size(facts.event_log_bytes)}",
                "see that the hourly job upkeep goes well, or lower FLEET_RUN_LOG_RETENTION",
            )
        )
    return found


def _unfinished(run: RunFact) -> list[Finding]:
    name = f"run {run.run_id[:8]} of {run.job}"
    if run.status == "QUEUED":
        if run.silent_seconds <= QUEUE_SECONDS:
            return []
        return [
            Finding(
                "runs",
                f"{name} has waited in the queue for {span(run.silent_seconds)}",
                "see that the daemon runs, and what holds the four places or its pool",
            )
        ]
    if run.worker == "dead":
        return [
            Finding(
                "runs",
                f"{name} is {run.status}, but its worker is dead",
                "the run watcher of `fleet up` marks it as failed, and its work is requested again",
                "end_dead_runs",
            )
        ]
    if run.silent_seconds > STUCK_SECONDS:
        return [
            Finding(
                "runs",
                f"{name} is {run.status} and has said nothing for {span(run.silent_seconds)}",
                "terminate it in the Dagster UI if it hangs; its work is requested again",
            )
        ]
    return []


def _verdicts(facts: RunFacts) -> list[Finding]:
    if not facts.has_data:
        return []
    found = []
    for (asset, check), longest in EXPECTED_CHECKS.items():
        age = facts.verdict_age_seconds.get((asset, check))
        if age is None and facts.age_seconds <= (longest or 0):
            continue  # a schedule's first tick may still be ahead
        if age is None:
            found.append(
                Finding(
                    "checks",
                    f"{asset}:{check} has never been evaluated",
                    "see that sensors and schedules are switched on in the Dagster UI (Automation)",
                )
            )
        elif longest is not None and age > longest and facts.daemon_runs:
            found.append(
                Finding(
                    "checks",
                    f"the verdict of {asset}:{check} is {span(age)} old",
                    "see that its schedule or sensor is switched on in the Dagster UI (Automation)",
                )
            )
    return found
