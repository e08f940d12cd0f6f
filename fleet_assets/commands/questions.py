"""``fleet questions``: what analysts ask of the marts, answered in the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(questions)


def questions(
    number: Annotated[
        int | None, typer.Argument(help="Answer this one; without it, list them.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print its query, to go on from.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the answer as CSV.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the answer into this PNG or SVG.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Draw all answers into this folder, as SVG.")
    ] = None,
) -> None:
    """Questions that analysts ask of the marts: list them, answer one, or draw all."""
    import sys

    import psycopg
    from rich.console import Console

    from fleet_assets.errors import FleetError
    from fleet_assets.question_plot import save_plot
    from fleet_assets.questions import answer, question
    from fleet_assets.questions import questions as known
    from fleet_assets.settings import Settings, service_address

    console = Console()
    if plots is not None:
        url = service_address("postgres_url", Settings())
        plots.mkdir(parents=True, exist_ok=True)
        for each in known():
            rows = answer(url, each)
            path = plots / f"{each.number:02}-{each.name}.svg"
            save_plot(each, rows, path)
            typer.echo(f"{path}: {rows.height} rows, {path.stat().st_size:,} bytes")
        return
    if number is None:
        for each in known():
            console.print(f"{each.number:>3}  {each.title}", highlight=False, soft_wrap=True)
        return
    asked = question(number)
    if sql:
        sys.stdout.write(asked.sql)
        return
    try:
        rows = answer(service_address("postgres_url", Settings()), asked)
    except psycopg.errors.UndefinedTable as error:
        cause = str(error).splitlines()[0]
        raise FleetError(f"{cause}: the marts are built with the first messages.") from None
    if as_csv:
        sys.stdout.write(rows.write_csv())
    else:
        console.print(asked.title, style="bold", highlight=False)
        _print(console, rows)
    if plot is not None:
        save_plot(asked, rows, plot)
        typer.echo(f"{plot} is drawn.", err=True)


def _print(console: object, rows: object) -> None:
    import polars as pl
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    assert isinstance(rows, pl.DataFrame)
    if rows.is_empty():
        console.print("Nothing yet.")
        return
    table = Table(*rows.columns)
    for row in rows.iter_rows():
        table.add_row(*("–" if value is None else str(value) for value in row))
    console.print(table)
