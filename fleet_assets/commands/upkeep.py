"""``fleet upkeep``: keeps the lake small and quick, by hand; its schedule does the same."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(upkeep)


def upkeep(
    hour: Annotated[
        str | None, typer.Option(help="Only this hour of event time, such as 2026-01-01T05.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Compact the files of closed hours, shorten logs, remove dead files."""
    from datetime import UTC, datetime

    from fleet_assets.errors import FleetError
    from fleet_assets.lake.store import Lake
    from fleet_assets.lake.upkeep import UpkeepPolicy, keep_up
    from fleet_assets.settings import Settings
    from partitions.hours import hour_start

    if hour is not None:
        try:
            hour_start(hour)
        except ValueError as error:
            raise FleetError(f"--hour: {error}") from None
    settings = Settings()
    policy = UpkeepPolicy(settings.late_after, settings.vacuum_retention)
    done = keep_up(
        Lake(settings.lake_root), policy, datetime.now(UTC),
        event_hour=hour, thorough=True, dry_run=dry_run, say=typer.echo,
    )  # fmt: skip
    for table, event_hour, files in done.planned:
        typer.echo(f"{table} {event_hour or ''}: {files} files would be compacted")
    if dry_run:
        if not (done.planned or done.vacuumed):
            typer.echo("nothing to do")
        return
    compacted = [c for c in done.compacted if not c.gave_way]
    typer.echo(
        f"{len(compacted)} compactions, {sum(c.files_before for c in compacted)} files →"
        f" {sum(c.files_after for c in compacted)};"
        f" {sum(done.vacuumed.values())} dead files removed"
    )
    if done.failed:
        raise FleetError("; ".join(done.failed))
