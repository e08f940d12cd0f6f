"""``fleet backfill``: making history anew through Dagster's runs, with its cost beforehand."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands.who import who

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleet_assets.backfill.held import Held
    from fleet_assets.backfill.plan import Cost
    from fleet_assets.backfill.steps import Step
    from fleet_assets.warehouse.backfills import Piece, Wanted

_LISTED = 12


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_epilog())(backfill)


def backfill(
    assets: Annotated[
        list[str], typer.Argument(help="Assets, groups or jobs, such as telemetry or features.")
    ],
    first: Annotated[
        str, typer.Option("--from", help="First hour or day (UTC): 2026-01-05T08 or 2026-01-05.")
    ],
    last: Annotated[str, typer.Option("--to", help="Last hour or day, included.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do and how long it takes.")
    ] = False,
    repin: Annotated[
        bool,
        typer.Option("--repin", help="Choose pinned inputs anew: usual intervals, baselines."),
    ] = False,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Tries of an hour before it counts as failed.")
    ] = 3,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin again instead of going on with the same one.")
    ] = False,
) -> None:
    """Make hours of assets anew, and what follows them in their job, by runs of Dagster.

    Runs are small and wait behind fresh hours. A failing hour holds up no other: it is tried again
    alone and reported at the end, with exit code 1. Ctrl-C ends this command, not the run that is
    under way; the same command goes on where it was.
    """
    from datetime import UTC, datetime

    from fleet_assets.backfill.held import held, messages_of
    from fleet_assets.backfill.plan import Measured, cost, hours_wanted
    from fleet_assets.backfill.steps import chosen_steps
    from fleet_assets.errors import FleetError
    from fleet_assets.lake.store import Lake
    from fleet_assets.local.dagster_runs import dagster_runs
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.warehouse.backfills import Wanted, measured_runs

    steps = chosen_steps(assets, _models())
    hours = hours_wanted(first, last)
    settings = Settings()
    runs = None if dry_run else dagster_runs(settings)
    url = service_address("postgres_url", settings)
    has = held(Lake(settings.lake_root), hours, datetime.now(UTC), settings.late_after)
    messages = {step.name: messages_of(step, has) for step in steps}
    earlier = [Measured(*run) for run in measured_runs(url)]
    _tell_cost([cost(step, messages[step.name], earlier) for step in steps], has)
    if not any(messages.values()):
        raise FleetError(f"No hour from {first} to {last} can be made anew.")
    if runs is not None:
        wanted = Wanted(tuple(sorted(set(assets))), first, last, repin)
        _drive(url, wanted, messages, runs, attempts, anew=anew)


def _drive(
    url: str,
    wanted: Wanted,
    messages: Mapping[str, Mapping[str, int]],
    runs: object,
    attempts: int,
    *,
    anew: bool,
) -> None:
    from fleet_assets.backfill.drive import Driver
    from fleet_assets.local.dagster_runs import DagsterRuns
    from fleet_assets.warehouse.backfills import abandon, begin, driving, pieces_of

    assert isinstance(runs, DagsterRuns)
    if anew:
        abandon(url, wanted)
    found = begin(url, wanted, messages, who())
    pieces = pieces_of(url, found.backfill_id)
    done = sum(piece.state == "done" for piece in pieces)
    if found.is_resumed:
        typer.echo(
            f"Goes on with backfill {found.backfill_id} of {found.asked_at:%Y-%m-%d %H:%M} UTC:"
            f" {done:,} of {len(pieces):,} done. (`--anew` begins again.)"
        )
    else:
        typer.echo(f"Backfill {found.backfill_id}")
    with driving(url, found.backfill_id), _Bar(len(pieces), done, runs.url) as bar:
        driver = Driver(url, found.backfill_id, runs, bar, repin=wanted.repin, attempts=attempts)
        try:
            failed = driver.drive()
        except KeyboardInterrupt:
            bar.stop()
            _tell_interrupted(bar.run_id, runs.url, wanted)
            raise typer.Exit(130) from None
    _tell_end(failed, len(pieces))


class _Bar:
    """Progress on a terminal; elsewhere a line for each run."""

    def __init__(self, total: int, done: int, url: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.run_id: str | None = None
        self._console = Console(stderr=True)
        self._done, self._total, self._url = done, total, url
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"), TimeRemainingColumn(),
            console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No more of it."""
        self._bar.stop()

    def line(self, text: str) -> None:
        """Something that happened."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def done(self, step: Step, keys: int) -> None:
        """So many more hours or days of a step are done."""
        self._done += keys
        self._bar.update(self._task, completed=self._done, description=step.job)
        if not self._console.is_terminal:
            self.line(f"{step.job}: {self._done:,} of {self._total:,} done")

    def under_way(self, run_id: str | None) -> None:
        """The run that is waited for."""
        self.run_id = run_id
        if run_id is not None:
            self._bar.update(self._task, description=f"{self._url}/runs/{run_id}")


def _tell_cost(costs: Sequence[Cost], has: Held) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for title in ("made anew", "partitions", "messages", "runs", "estimated"):
        table.add_column(title, justify="left" if title == "made anew" else "right")
    for one in costs:
        table.add_row(
            f"{one.step.job}, from {one.step.tables[0]}",
            f"{one.keys:,} {one.step.unit}{'' if one.keys == 1 else 's'}",
            f"{one.messages:,}", f"{one.runs:,}", _in_words(one.seconds),
        )  # fmt: skip
    Console(width=None, highlight=False).print(table)
    measured = sum(one.measured_runs for one in costs)
    rest_on = f"{measured} earlier runs" if measured else "the figures of docs/performance.md"
    typer.echo(f"The estimate rests on {rest_on}, for a machine that does nothing else.")
    for hours, told in (
        (has.expired, "raw messages expired (made anew from what was kept of them)"),
        (has.lost, "telemetry gone, too (stays as it is)"),
        (has.open, "not over yet (left to the refresh)"),
    ):
        if hours:
            more = ", …" if len(hours) > _LISTED else ""
            plural = "hour" if len(hours) == 1 else "hours"
            typer.echo(f"{len(hours):,} {plural}, {told}: {', '.join(hours[:_LISTED])}{more}")


def _tell_interrupted(run_id: str | None, url: str, wanted: Wanted) -> None:
    words = [*wanted.names, "--from", wanted.first, "--to", wanted.last]
    words += ["--repin"] if wanted.repin else []
    if run_id is not None:
        typer.echo(f"The run {url}/runs/{run_id} goes on in Dagster; no further one is asked for.")
    typer.echo(f"What is done is kept. To go on: fleet backfill {shlex.join(words)}")


def _tell_end(failed: Sequence[Piece], pieces: int) -> None:
    typer.echo(f"{pieces - len(failed):,} of {pieces:,} done.")
    if not failed:
        typer.echo("What depends on it in other jobs follows by their sensors; `fleet status`.")
        return
    for piece in failed:
        why = " ".join((piece.detail or "").split())[:200]
        typer.echo(f"failed after {piece.attempts} attempts: {piece.key} of {piece.step}: {why}")
    typer.echo("The same command tries them again. What others have is not held up by them.")
    raise typer.Exit(1)


def _in_words(seconds: float) -> str:
    """A duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _models() -> list[str]:
    """Names of dbt's marts; looked up here, as `fleet --help` has no time for the warehouse."""
    folder = Path(__file__).parents[2] / "dbt_project" / "models" / "marts"
    return sorted(path.stem for path in folder.glob("*.sql"))


def _epilog() -> str:
    from fleet_assets.backfill.steps import STEPS, names

    of_job: dict[str, list[str]] = {}
    for step in STEPS:
        of_job.setdefault(step.job, []).extend(step.tables)
    groups = sorted(set(names(())).difference(*of_job.values()))
    told = [f"Jobs and groups: {', '.join(groups)}."]
    told += [f"Assets of {job}: {', '.join(found)}." for job, found in of_job.items()]
    told.append(f"Marts (their hours are loaded again): {', '.join(_models())}.")
    return "\n\n".join(told)
