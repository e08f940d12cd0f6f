"""Dagster's runs for backfills in the test's process: the real jobs, executed when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from platform_run import PlatformRun

from fleet_assets.backfill.drive import KEYS_TAG, RunSeen
from fleet_assets.backfill.steps import Step


@dataclass
class ExecutedRuns:
    """Runs of a platform without a daemon.

    Attributes:
        before: is called with the hours of a run before it works; what it raises ends the driver.
        after: likewise once it has worked.
        asked: job, hours and assets of each run.
    """

    flow: PlatformRun
    before: Callable[[list[str]], None] = lambda _: None
    after: Callable[[list[str]], None] = lambda _: None
    asked: list[tuple[str, list[str], Sequence[str] | None]] = field(default_factory=list)

    def step_of_asset(self, job: str) -> Mapping[str, str]:
        graph = self.flow.defs.resolve_asset_graph()
        chosen = self.flow.defs.resolve_job_def(job).asset_layer.selected_asset_keys
        return {key.to_user_string(): graph.get(key).assets_def.op.name for key in chosen}

    def launch(
        self,
        job: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str],
        assets: Sequence[str] | None,
    ) -> str:
        keys = tags[KEYS_TAG].split(",")
        self.asked.append((job, keys, assets))
        self.before(keys)
        selected = None if assets is None else [dg.AssetKey(a.split("/")) for a in assets]
        done = self.flow.execute(job, config, tags, selected)
        self.after(keys)
        return done.run_id

    def look(self, run_id: str) -> RunSeen | None:
        record = self.flow.instance.get_run_record_by_id(run_id)
        return None if record is None else _seen(record)

    def tagged(self, name: str, value: str) -> list[RunSeen]:
        filters = dg.RunsFilter(tags={name: value})
        return [_seen(record) for record in self.flow.instance.get_run_records(filters)]


@dataclass
class Told:
    """What a driver has told."""

    lines: list[str] = field(default_factory=list)
    finished: int = 0

    def line(self, text: str) -> None:
        self.lines.append(text)

    def done(self, step: Step, keys: int) -> None:
        del step
        self.finished += keys

    def under_way(self, run_id: str | None) -> None:
        del run_id


def _seen(record: dg.RunRecord) -> RunSeen:
    run = record.dagster_run
    state = "succeeded" if run.is_success else "failed" if run.is_finished else "unfinished"
    start, end = record.start_time or 0.0, record.end_time or 0.0
    return RunSeen(
        run.run_id, state, run.tags,
        datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC),
    )  # type: ignore[arg-type]  # fmt: skip
