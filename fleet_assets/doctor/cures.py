"""What `fleet doctor --fix` does: only what cannot lose data and is not somebody else's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from subprocess import run
from typing import Final

from fleet_assets.doctor.examination import Examination
from fleet_assets.doctor.finding import Cure, Finding
from fleet_assets.doctor.gather.lake import remove_orphans
from fleet_assets.doctor.gather.runs import earliest_live_run
from fleet_assets.errors import FleetError
from fleet_assets.local.dagster_services import dagster_home
from fleet_assets.local.single_instance import only_one, stop_leftovers
from fleet_assets.local.topics import create_missing_topics
from fleet_assets.warehouse.migrate import upgrade

_END_DEAD_RUNS: Final = "from fleet_assets.local.run_watch import look_once; look_once()"


def apply_cures(
    examination: Examination, findings: Iterable[Finding], report: Callable[[str], None]
) -> list[str]:
    """Does what the findings' cures name, each kind once.

    Returns:
        What was done, a line each.

    Raises:
        FleetError: a cure failed; those before it are done.
    """
    wanted = dict.fromkeys(finding.fix for finding in findings if finding.fix is not None)
    done = []
    for cure in wanted:
        report(f"Fixing: {cure.replace('_', ' ')}")
        done.append(_CURES[cure](examination))
    return done


def _end_dead_runs(examination: Examination) -> str:
    """In a process of its own: Dagster is heavy, and wants its home in the environment."""
    home = examination.settings.home.absolute()
    env = {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(home)),
        "DAGSTER_POSTGRES_URL": str(examination.dagster_url),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    ended = run(
        [sys.executable, "-c", _END_DEAD_RUNS],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no word"])[-1]
        raise FleetError(f"Dead runs could not be ended ({last}): `fleet up` does so at its start.")
    return f"dead runs ended: {len(ended.stdout.split())}"


def _stop_leftovers(examination: Examination) -> str:
    home = examination.settings.home.absolute()
    lines: list[str] = []
    with only_one(home):  # no `fleet up` may begin meanwhile
        stop_leftovers(home, lines.append)
        examination.settings.services_file.unlink(missing_ok=True)
    return "; ".join(lines) or "services.json of the dead supervisor removed"


def _remove_orphans(examination: Examination) -> str:
    """Never what is younger than the safety age, nor than the oldest run that is under way."""
    older_than = datetime.now(UTC) - examination.settings.vacuum_retention
    if examination.dagster_url is not None:
        started = earliest_live_run(examination.dagster_url)
        if started is not None:
            older_than = min(older_than, datetime.fromtimestamp(started, UTC))
    removed = remove_orphans(examination.lake, older_than)
    by_table = ", ".join(f"{table} {files:,}" for table, files in removed.items())
    return f"orphan files removed: {by_table or 'none'}"


def _make_topics(examination: Examination) -> str:
    assert examination.kafka is not None
    made = create_missing_topics(examination.settings, examination.kafka)
    return f"topics made: {', '.join(made) or 'none'}"


def _migrate(examination: Examination) -> str:
    assert examination.postgres is not None
    upgrade(examination.postgres)
    return "warehouse migrated"


_CURES: Final[Mapping[Cure, Callable[[Examination], str]]] = {
    "end_dead_runs": _end_dead_runs,
    "stop_leftovers": _stop_leftovers,
    "remove_orphans": _remove_orphans,
    "make_topics": _make_topics,
    "migrate": _migrate,
}
