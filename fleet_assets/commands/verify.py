"""``fleet verify``: whether what is stored is what a rebuild would give; nothing is repaired."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

_LISTED = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    first: Annotated[
        str, typer.Option("--from", help="First hour or day (UTC): 2026-01-05T08 or 2026-01-05.")
    ],
    last: Annotated[str, typer.Option("--to", help="Last hour or day, included.")],
    messages: Annotated[
        int | None,
        typer.Option("--messages", min=1, help="Only hours drawn by lot, of so many messages."),
    ] = None,
) -> None:
    """Make hours anew in memory, and compare them with lake, warehouse and marts.

    Each table is made from its stored inputs by the code that made it first. Exit code 0: all is
    the same; 1: something differs, which is listed with the command that makes it right.
    """
    from datetime import UTC, datetime

    from fleet_assets.backfill.held import held
    from fleet_assets.backfill.plan import hours_wanted
    from fleet_assets.errors import FleetError
    from fleet_assets.lake.store import Lake
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.verification.sample import sampled_hours
    from fleet_assets.verification.verify import repair_command
    from fleet_assets.verification.verify import verify as compare

    settings = Settings()
    lake, url = Lake(settings.lake_root), service_address("postgres_url", settings)
    has = held(lake, hours_wanted(first, last), datetime.now(UTC), settings.late_after)
    hours = sorted(has.telemetry)
    if messages is not None:
        hours = sampled_hours(has.telemetry, messages, f"{first} {last}")
    if not hours:
        raise FleetError(f"There is no closed hour with telemetry from {first} to {last}.")

    def report(text: str) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r\033[K{text} …", err=True, nl=False)

    state = (settings.home / "dbt-verify").absolute()
    done = compare(lake, url, hours, settings.late_after, state, report)
    if sys.stderr.isatty():
        typer.echo("\r\033[K", err=True, nl=False)
    typer.echo(
        f"{len(done.hours):,} hours, {done.found.compared:,} tables by hour or day compared,"
        f" {len(done.differences):,} differ."
    )
    if done.not_rebuilt:
        told = ", ".join(done.not_rebuilt[:_LISTED])
        typer.echo(f"Raw messages gone or not all taken in: {told}")
    if done.found.waiting:
        told = ", ".join(f"{table} {key}" for table, key in done.found.waiting[:_LISTED])
        typer.echo(f"Not in line with their inputs yet, not compared: {told}")
    for difference in done.differences[:_LISTED]:
        typer.echo(str(difference))
    if done.differences:
        typer.echo(f"To make it right: {repair_command(done.differences)}")
        raise typer.Exit(1)
