"""``fleet gaps``: messages that Kafka had expired before they landed, and taking note of them."""

from __future__ import annotations

import dataclasses
import getpass
import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fleet_assets.lake.gaps import Gap

gaps = typer.Typer(
    no_args_is_help=True, help="Messages lost before they landed: list, acknowledge."
)


class Format(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """How a list is printed."""

    text = "text"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(gaps, name="gaps")


@gaps.command("list")
def list_gaps(
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
) -> None:
    """Print every gap with its offsets; exit code 1 while one is not acknowledged."""
    found = _found()
    if format_ is Format.json:
        rows = [{**dataclasses.asdict(gap), "open": gap.is_open} for gap in found]
        typer.echo(json.dumps(rows, default=str))
    else:
        for gap in found:
            typer.echo(f"{'OPEN  ' if gap.is_open else ''}{gap}")
        typer.echo("No gaps." if not found else f"{sum(gap.is_open for gap in found)} open.")
    if any(gap.is_open for gap in found):
        raise typer.Exit(1)


@gaps.command()
def acknowledge(
    reason: Annotated[str, typer.Option(help="Why it happened, for those who come after.")],
    partition: Annotated[
        int | None, typer.Option(help="Only gaps of this Kafka partition.")
    ] = None,
    offset: Annotated[int | None, typer.Option(help="Only the gap that holds this offset.")] = None,
) -> None:
    """Take note of open gaps, with name and reason: the check `offsets` then passes again.

    What is lost stays lost, and stays in the list.
    """
    from fleet_assets.errors import FleetError
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.gaps import acknowledge as note

    chosen = [
        gap
        for gap in _found()
        if gap.is_open
        and (partition is None or gap.kafka_partition == partition)
        and (offset is None or gap.offset_start <= offset < gap.offset_end)
    ]
    if not chosen:
        raise FleetError("No open gap fits: `fleet gaps list` shows them all.")
    note(service_address("postgres_url"), chosen, getpass.getuser(), reason)
    for gap in chosen:
        typer.echo(f"Acknowledged: {gap}")
    typer.echo(
        "The check `offsets` passes when it runs next: every 15 minutes, or the job `verify`."
    )


def _found() -> list[Gap]:
    from fleet_assets.lake.store import Lake
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.warehouse.gaps import known_gaps

    return known_gaps(Lake(Settings().lake_root), service_address("postgres_url"))
