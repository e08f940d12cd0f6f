"""``fleet vehicles``: the vehicle register from and to the command line."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

vehicles = typer.Typer(no_args_is_help=True, help="The vehicle register: import and list.")


class Format(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """How a list is printed."""

    table = "table"
    csv = "csv"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(vehicles, name="vehicles")


@vehicles.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV with a header; empty fields take defaults.")],
) -> None:
    """Insert or update the vehicles of FILE, all or none; doing it twice changes nothing."""
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.vehicles import import_vehicles
    from fleet_assets.warehouse.vehicles_csv import parse_vehicles_csv

    rows = parse_vehicles_csv(file)
    done = import_vehicles(service_address("postgres_url"), rows, source=file.name)
    typer.echo(
        f"{file.name}: {done.inserted} new, {done.updated} changed, {done.unchanged} unchanged."
    )


@vehicles.command("list")
def list_register(
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
) -> None:
    """Print the register."""
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.vehicles import known_vehicles

    frame = known_vehicles(service_address("postgres_url")).rename({"vehicle_id": "id"})
    if format_ is Format.csv:
        typer.echo(frame.write_csv(), nl=False)
    elif format_ is Format.json:
        typer.echo(frame.write_json())
    else:
        _print_table(frame)


def _print_table(frame: pl.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*frame.columns, box=None)
    for row in frame.iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    if not console.is_terminal:  # a pipe has no width: one line a vehicle
        console = Console(width=sum(len(name) + 40 for name in frame.columns))
    console.print(table)
