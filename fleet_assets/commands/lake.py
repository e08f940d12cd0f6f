"""``fleet sql``: reads the lake with SQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, TextIO

import typer


class Format(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """How an answer is given."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sql)


def sql(
    query: Annotated[
        str, typer.Argument(help="One statement that reads, for example FROM telemetry LIMIT 5.")
    ],
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Default: by the ending of --output, else table."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
) -> None:
    """Query the lake's tables (DuckDB's SQL, times in UTC); nothing is ever changed."""
    from fleet_assets.errors import FleetError
    from fleet_assets.lake import sql_output
    from fleet_assets.lake.sql import ask
    from fleet_assets.lake.store import Lake
    from fleet_assets.settings import Settings

    chosen = format_ or _by_ending(output)
    if chosen is Format.parquet and output is None:
        raise FleetError("--format parquet needs a file: give --output FILE.parquet.")
    with ask(Lake(Settings().lake_root), query) as answer:
        if chosen is Format.parquet and output is not None:
            sql_output.write_parquet(answer, output)
            return
        with _opened(output) as out:
            if chosen is Format.csv:
                sql_output.write_csv(answer, out)
            elif chosen is Format.json:
                sql_output.write_json(answer, out)
            else:
                sql_output.write_table(answer, out, lambda line: typer.echo(line, err=True))


def _by_ending(output: Path | None) -> Format:
    ending = output.suffix.lstrip(".").lower() if output else ""
    return Format(ending) if ending in (f.value for f in Format) else Format.table


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
