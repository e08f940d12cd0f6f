"""Looks at everything: gathers the facts part by part and joins the findings of the checks.

A part that cannot be looked at is one finding; what hangs on it is not asked, so that a broker that
is down is said once and not five times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import psutil
import psycopg

from fleet_assets.doctor.checks.clocks import check_clocks
from fleet_assets.doctor.checks.hours import check_hours
from fleet_assets.doctor.checks.kafka import check_gaps, check_kafka
from fleet_assets.doctor.checks.lake import LakeFacts, check_lake
from fleet_assets.doctor.checks.machine import check_disks
from fleet_assets.doctor.checks.runs import check_runs
from fleet_assets.doctor.checks.services import check_services
from fleet_assets.doctor.checks.versions import check_versions
from fleet_assets.doctor.finding import Finding, unknown
from fleet_assets.doctor.gather.clocks import clock_facts, postgres_skew
from fleet_assets.doctor.gather.hours import hour_facts
from fleet_assets.doctor.gather.kafka import TopicAsked
from fleet_assets.doctor.gather.lake import damaged, lake_facts
from fleet_assets.doctor.gather.machine import disk_facts
from fleet_assets.doctor.gather.runs import daemon_silent_seconds, run_facts
from fleet_assets.doctor.gather.services import service_facts
from fleet_assets.doctor.gather.versions import version_facts
from fleet_assets.errors import FleetError
from fleet_assets.lake.gaps import gaps
from fleet_assets.lake.landed import newest_event
from fleet_assets.lake.store import Lake
from fleet_assets.local.databases import database_exists, database_name
from fleet_assets.local.failing_checks import dagster_database, failing_verdicts
from fleet_assets.local.single_instance import supervisor_pid
from fleet_assets.local.state import PlatformState, ServiceState, read_state
from fleet_assets.local.status import service_states
from fleet_assets.settings import Settings
from fleet_assets.warehouse.gaps import known_gaps

T = TypeVar("T")
_WELL = ("running", "external")


@dataclass
class Examination:
    """One look at an installation."""

    settings: Settings
    report: Callable[[str], None] = lambda part: None
    findings: list[Finding] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes by what takes them."""

    def __post_init__(self) -> None:
        state = read_state(self.settings.services_file)
        if supervisor_pid(self.settings.home.absolute()) is None:
            state = None
        self.state: PlatformState | None = state
        self.lake = Lake(self.settings.lake_root)
        self.services: dict[str, ServiceState] = {}
        self.kafka: str | None = None
        self.postgres: str | None = None

    def run(self) -> list[Finding]:
        """All findings, the causes before what follows from them."""
        self._services()
        self._part("kafka", self._topic)
        self._part("hours", self._hours)
        self._part("runs", self._runs)
        self._part("lake", lambda: check_lake(self._lake_facts()))
        self._part("disk", self._disks)
        self._part("versions", self._versions)
        self._part("clocks", self._clocks)
        return self.findings

    @cached_property
    def dagster_url(self) -> str | None:
        """Dagster's storage; None: there is none, or PostgreSQL does not answer."""
        if self.postgres is None:
            return None
        url = dagster_database(self.postgres, self.settings)
        return url if database_exists(self.postgres, database_name(url)) else None

    def _part(self, name: str, look: Callable[[], list[Finding]]) -> None:
        self.report(name)
        try:
            self.findings += look()
        except Exception as error:  # whatever is broken, the doctor goes on with the rest
            words = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
            kind = "" if isinstance(error, FleetError) else f"{type(error).__name__}: "
            why = f"{kind}{words[:300]}"
            self.findings.append(unknown(name, why, "remove the cause and ask again"))

    def _services(self) -> None:
        self.report("services")
        settings, state = self.settings, self.state
        self.services = service_states(settings, state)
        answers = {n: s.state in _WELL for n, s in self.services.items()}
        if answers.get("kafka"):
            known = state.kafka_bootstrap_servers if state else None
            self.kafka = settings.kafka_bootstrap_servers or known
        if answers.get("postgres"):
            self.postgres = settings.postgres_url or (state.postgres_url if state else None)
        silent = None
        if self.dagster_url is not None and answers.get("daemon"):
            silent = _or_none(daemon_silent_seconds, self.dagster_url)
        facts = service_facts(settings, self.services, state, silent)
        self.findings += check_services(facts)
        for name, address, what in (
            ("kafka", self.kafka, "the lag and the topic's set-up"),
            ("postgres", self.postgres, "hours, runs, checks and acknowledged gaps"),
        ):
            if address is None:
                self.findings.append(
                    unknown(name, f"{what}, as {name} is down", "start it and ask again")
                )

    def _topic(self) -> list[Finding]:
        if self.postgres is not None:
            found = known_gaps(self.lake, self.postgres)
        else:
            found = gaps(self.lake)
        still_open = [str(gap) for gap in found if gap.is_open]
        if self.kafka is None:
            return check_gaps(still_open)
        return check_kafka(TopicAsked(self.settings, self.kafka).facts(self.lake, still_open))

    def _hours(self) -> list[Finding]:
        if self.postgres is None:
            return []
        damage = damaged(self.lake)
        return check_hours(hour_facts(self.lake, self.postgres, self.settings, damage))

    def _runs(self) -> list[Finding]:
        if self.postgres is None or self.dagster_url is None:
            return []
        daemon = self.services.get("daemon")
        facts = run_facts(
            self.dagster_url,
            failing_verdicts(self.postgres, self.settings),
            has_data=self._has_data(),
            daemon_runs=daemon is not None and daemon.state in _WELL,
        )
        return [] if facts is None else check_runs(facts)

    def _has_data(self) -> bool:
        known = self.lake.find("telemetry")  # asking further would make the table
        return known is not None and newest_event(self.lake) is not None

    def _lake_facts(self) -> LakeFacts:
        return lake_facts(self.lake, self.settings.vacuum_retention)

    def _disks(self) -> list[Finding]:
        facts = disk_facts(self.settings, self.postgres)
        self.sizes = dict(facts.sizes)
        return check_disks(facts)

    def _versions(self) -> list[Finding]:
        broker = self.services.get("kafka")
        return check_versions(version_facts(self.postgres, broker.pid if broker else None))

    def _clocks(self) -> list[Finding]:
        postgres = postgres_skew(self.postgres) if self.postgres else None
        newest = None
        if self.kafka is not None:
            newest = TopicAsked(self.settings, self.kafka).newest_append_seconds()
        facts = clock_facts(self.lake, postgres, newest, self.settings.late_after)
        return check_clocks(facts)


def _or_none(ask: Callable[[str], T], address: str) -> T | None:
    """The answer; None if there is none: another part says why."""
    try:
        return ask(address)
    except (FleetError, psycopg.Error, psutil.Error):
        return None
