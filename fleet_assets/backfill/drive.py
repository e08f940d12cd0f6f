"""Asks for run after run of a backfill, follows each, and sets apart what fails.

One run at a time: it takes one slot, and fresh hours have the others. All that is known stands in
the warehouse and in the tags of the runs, so whoever drives it may be ended at any moment.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

from fleet_assets.backfill.plan import chunks
from fleet_assets.backfill.steps import STEP_BY_NAME, Step, assets_from, run_config, steps_from
from fleet_assets.errors import FleetError
from fleet_assets.warehouse.backfills import Piece, end, note_end, note_run, pieces_of
from fleet_assets.warehouse.connection import transact

BACKFILL_TAG: Final = "fleet/backfill"
"""Tag of its runs: the backfill; `dagster.yaml` lets one of them run at a time."""
STEP_TAG: Final = "fleet/backfill_step"
KEYS_TAG: Final = "fleet/hours"
"""As `assets/runs.py` reads it; that module needs Dagster, so a test compares the two."""
_PARTITION: Final = "dagster/partition"
_AFTER_ALL_OTHERS: Final = "-1"
MOST_FAILURES: Final = 4
"""So many runs in a row that fail as a whole have another cause than one bad hour."""
POLL_SECONDS: Final = 1.0


@dataclass(frozen=True)
class RunSeen:
    """A run as Dagster shows it."""

    run_id: str
    state: Literal["unfinished", "succeeded", "failed"]
    tags: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Runs(Protocol):
    """Dagster, as far as a backfill needs it."""

    def step_of_asset(self, job: str) -> Mapping[str, str]:
        """The step that makes each asset of a job."""

    def launch(
        self,
        job: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str],
        assets: Sequence[str] | None,
    ) -> str:
        """Asks for a run and gives its id; assets None: all of the job."""

    def look(self, run_id: str) -> RunSeen | None:
        """A run; None: there is none."""

    def tagged(self, name: str, value: str) -> list[RunSeen]:
        """Runs with a tag, in any order."""


class Watch(Protocol):
    """Who is told how it goes."""

    def line(self, text: str) -> None:
        """Something that happened."""

    def done(self, step: Step, keys: int) -> None:
        """So many more hours or days of a step are done."""

    def under_way(self, run_id: str | None) -> None:
        """The run that is waited for."""


@dataclass(frozen=True)
class Driver:
    """Drives one backfill.

    Attributes:
        postgres_url: the warehouse.
        backfill_id: which one.
        runs: Dagster.
        watch: is told how it goes.
        repin: pinned inputs are chosen anew.
        attempts: at each hour, after which it counts as failed.
        pause: waits for so many seconds.
    """

    postgres_url: str
    backfill_id: str
    runs: Runs
    watch: Watch
    repin: bool = False
    attempts: int = 3
    pause: Callable[[float], None] = time.sleep

    def drive(self) -> list[Piece]:
        """Works until nothing is left to try.

        Returns:
            Pieces that have failed, attempts used up.

        Raises:
            FleetError: runs fail as a whole, one after the other.
        """
        self._take_up()
        for step in STEP_BY_NAME.values():
            self._all_of(step)
        for step in STEP_BY_NAME.values():
            self._again(step)
        failed = [piece for piece in self._pieces() if piece.state == "failed"]
        if not failed:
            end(self.postgres_url, self.backfill_id)
        return failed

    def _take_up(self) -> None:
        """Notes how runs went on that nobody has followed, and waits for those under way."""
        known = {piece.run_id for piece in self._pieces() if piece.run_id}
        for run in self.runs.tagged(BACKFILL_TAG, self.backfill_id):
            if run.run_id not in known:  # asked for in the moment in which the driver was ended
                step, keys = run.tags.get(STEP_TAG), run.tags.get(KEYS_TAG, "").split(",")
                left = {p.key for p in self._pieces() if p.step == step and p.state == "waiting"}
                if step and left.issuperset(keys):
                    note_run(self.postgres_url, self.backfill_id, step, run.run_id, keys)
        running: dict[str, list[Piece]] = {}
        for piece in self._pieces():
            if piece.state == "running" and piece.run_id:
                running.setdefault(piece.run_id, []).append(piece)
        for run_id, pieces in running.items():
            self._follow(STEP_BY_NAME[pieces[0].step], run_id, [piece.key for piece in pieces])

    def _all_of(self, step: Step) -> None:
        """Every piece once; a run that fails as a whole is halved until the bad hour is found."""
        waiting = {p.key: p.messages for p in self._pieces(step) if p.state == "waiting"}
        queue = deque(chunks(waiting))
        in_a_row = 0
        while queue:
            keys = queue.popleft()
            back = self._run(step, keys)
            if back is None:
                in_a_row = 0
                continue
            in_a_row += 1
            if in_a_row >= MOST_FAILURES:
                raise FleetError(
                    f"The last {in_a_row} runs of {step.job} failed as a whole: look at the newest"
                    " in the Dagster UI (`fleet doctor` may know why). What is done is kept; the"
                    " same command goes on from here."
                )
            half = len(back) // 2
            queue.extend(part for part in (back[:half], back[half:]) if part)

    def _again(self, step: Step) -> None:
        """What has failed, each alone, at growing distances."""
        while True:
            failed = [p for p in self._pieces(step) if p.state == "failed"]
            due = [p for p in failed if p.attempts < self.attempts]
            if not due:
                return
            piece = min(due, key=lambda p: (p.next_attempt_at or _EVER, p.key))
            self._wait_for(piece)
            self._run(step, [piece.key])

    def _wait_for(self, piece: Piece) -> None:
        wait = ((piece.next_attempt_at or _EVER) - datetime.now(UTC)).total_seconds()
        if wait > 0:
            number = f"attempt {piece.attempts + 1} of {self.attempts}"
            self.watch.line(f"{piece.key} of {piece.step} failed; {number} in {wait:.0f} s")
            self.pause(wait)

    def _run(self, step: Step, keys: Sequence[str]) -> list[str] | None:
        """One run; gives what it left undone if it failed as a whole, else None."""
        tags = {
            _PARTITION: keys[0],
            KEYS_TAG: ",".join(keys),
            BACKFILL_TAG: self.backfill_id,
            STEP_TAG: step.name,
            "dagster/priority": _AFTER_ALL_OTHERS,
        }
        assets = assets_from(step, self.runs.step_of_asset(step.job))
        run_id = self.runs.launch(step.job, run_config(step, repin=self.repin), tags, assets)
        note_run(self.postgres_url, self.backfill_id, step.name, run_id, keys)
        return self._follow(step, run_id, keys)

    def _follow(self, step: Step, run_id: str, keys: Sequence[str]) -> list[str] | None:
        """Waits for the end of a run and notes how each of its hours went."""
        self.watch.under_way(run_id)
        run = self.runs.look(run_id)
        while run is not None and run.state == "unfinished":
            self.pause(POLL_SECONDS)
            run = self.runs.look(run_id)
        self.watch.under_way(None)
        went_well = run is not None and run.state == "succeeded"
        only_by = None if went_well or len(keys) == 1 else run_id
        failed = self._failures(step, keys, only_by)
        as_a_whole = not went_well and len(failed) < len(keys)
        if as_a_whole and len(keys) == 1:
            failed = {keys[0]: f"run {run_id[:8]} failed"}
        back = [] if went_well else [key for key in keys if key not in failed]
        note_end(
            self.postgres_url, run_id, failed, back, succeeded=went_well,
            started_at=run.started_at if run else None, ended_at=run.ended_at if run else None,
        )  # fmt: skip
        for key, detail in failed.items():
            self.watch.line(f"{key} of {step.name}: {' '.join(detail.split())[:200]}")
        finished = len(keys) - len(back) - len(failed)
        self.watch.done(step, finished)
        return back if as_a_whole else None

    def _failures(self, step: Step, keys: Sequence[str], run_id: str | None) -> dict[str, str]:
        """Hours that the ledger says are failed or withheld; only by a run, if one is given."""
        stages = [stage for one in steps_from(step) for stage in one.stages]
        given = {"stages": stages, "keys": list(keys), "run": run_id}
        statement = _FAILED_DAYS if step.unit == "day" else _FAILED_HOURS
        rows = transact(self.postgres_url, lambda c: c.execute(statement, given).fetchall())
        return {
            key: f"{stage} {state}: {detail or 'no detail'}" for key, stage, state, detail in rows
        }

    def _pieces(self, step: Step | None = None) -> list[Piece]:
        found = pieces_of(self.postgres_url, self.backfill_id)
        return [piece for piece in found if step is None or piece.step == step.name]


_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
# the newest stage last: what is withheld names the failure that it follows from
_FAILED_HOURS: Final = """
select event_hour, stage, state, detail from warehouse.stage_ledger
where
    stage = any(%(stages)s) and event_hour = any(%(keys)s) and state <> 'fresh'
    and (%(run)s::text is null or run_id = %(run)s)
order by event_hour, state desc
"""
_FAILED_DAYS: Final = """
select event_day, stage, state, detail from warehouse.day_ledger
where
    stage = any(%(stages)s) and event_day = any(%(keys)s) and state = 'failed'
    and (%(run)s::text is null or run_id = %(run)s)
order by event_day
"""
