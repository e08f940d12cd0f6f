"""``fleet ledger``: how far each hour of each table is, revisions, overrides of withheld hours."""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands.who import who

if TYPE_CHECKING:
    import polars as pl

ledger = typer.Typer(
    help="How far each hour of each table is: newest input, rows, state, last run."
)

_COLUMNS = {
    "event_hour": "hour",
    "table_name": "table",
    "state": "state",
    "newest_input_at": "newest input",
    "processed_input_at": "processed up to",
    "rows": "rows",
    "files": "files",
    "bytes": "bytes",
    "last_run_at": "last run",
}

_MOST_HOURS = 200


class Format(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


class State(str, Enum):  # noqa: UP042
    """States of a partition, and two marks that come on top."""

    fresh = "fresh"
    stale = "stale"
    failed = "failed"
    gap = "gap"
    withheld = "withheld"
    released = "released"


class Stage(str, Enum):  # noqa: UP042
    """Stages that others depend on, hour by hour."""

    telemetry = "telemetry"
    vehicle_hours = "vehicle_hours"


Hour = Annotated[str, typer.Argument(help="Key of the hour (UTC), for example 2026-01-01T05.")]
StageOption = Annotated[Stage, typer.Option("--stage", help="The stage that fails.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(ledger, name="ledger")


@ledger.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    hour: Annotated[str | None, typer.Option(help="Only this hour, e.g. 2026-01-01T05.")] = None,
    table: Annotated[
        str | None, typer.Option(help="Only this table; warehouse and marts count as tables.")
    ] = None,
    state: Annotated[State | None, typer.Option(help="Only this state.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="From this hour on.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Up to this hour, included.")] = None,
    revised: Annotated[
        bool,
        typer.Option("--revised", help="Hours that changed after they were shown, by how much."),
    ] = False,
    format_: FormatOption = Format.table,
) -> None:
    """Print the ledger by hour and table; it is brought in step with the lake before."""
    if context.invoked_subcommand is not None:
        return
    from fleet_assets.errors import FleetError
    from fleet_assets.lake.store import Lake
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.warehouse.lake_ledger import sync_lake_ledger
    from fleet_assets.warehouse.ledger_view import TABLES, partition_ledger

    for key in (hour, first, last):
        _require_hour(key)
    if table is not None and table not in TABLES:
        raise FleetError(f"No table {table!r} in the ledger: it has {', '.join(TABLES)}.")
    url = service_address("postgres_url")
    if revised:
        _print(_revisions(url, hour, first, last), format_, "No hour was revised.")
        return
    sync_lake_ledger(Lake(Settings().lake_root), url, look_at_files=True)
    rows = partition_ledger(url, hour, table, state and state.value, first, last)
    if format_ is not Format.table:
        _print(rows, format_, "")
        return
    _print(_for_people(_newest_hours(rows)), format_, "No hour that fits.")


@ledger.command()
def release(
    hour: Hour,
    stage: StageOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the override.")],
) -> None:
    """Let what depends on a failing hour go on with what the hour last had, until it passes."""
    from fleet_assets.errors import FleetError
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.overrides import release as release_hour

    _require_hour(hour)
    if not reason.strip():
        raise FleetError('An override needs a reason: --reason "why it may go on".')
    release_hour(service_address("postgres_url"), stage.value, hour, reason.strip(), who())
    typer.echo(f"{stage.value} of {hour} is released; what depends on it goes on at the next try.")


@ledger.command()
def revoke(hour: Hour, stage: StageOption) -> None:
    """End an override: what depends on the hour is withheld again."""
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.overrides import revoke as revoke_hour

    _require_hour(hour)
    revoke_hour(service_address("postgres_url"), stage.value, hour, who())
    typer.echo(f"{stage.value} of {hour} is no longer released.")


@ledger.command()
def overrides(format_: FormatOption = Format.table) -> None:
    """List all overrides, also those that have ended: who, when, why."""
    import dataclasses

    import polars as pl

    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.overrides import read_overrides

    found = read_overrides(service_address("postgres_url"))
    rows = pl.DataFrame([dataclasses.asdict(one) for one in found], infer_schema_length=None)
    _print(rows, format_, "No override was ever made.")


def _revisions(url: str, hour: str | None, first: str | None, last: str | None) -> pl.DataFrame:
    import dataclasses

    import polars as pl

    from fleet_assets.warehouse.revisions import read_revisions

    kept = [
        revision
        for revision in read_revisions(url, None if hour is None else [hour])
        if (first or "") <= revision.event_hour and (last is None or revision.event_hour <= last)
    ]
    rows = [dataclasses.asdict(revision) for revision in kept]
    return pl.DataFrame(rows, infer_schema_length=None)


def _newest_hours(rows: pl.DataFrame) -> pl.DataFrame:
    """So many that a person can still read them."""
    hours = rows["event_hour"].unique().sort()
    if hours.len() <= _MOST_HOURS:
        return rows
    typer.echo(
        f"Newest {_MOST_HOURS} of {hours.len():,} hours: --hour, --from, --to and --state choose"
        " others, --format csv prints all.",
        err=True,
    )
    return rows.filter(rows["event_hour"] >= hours[-_MOST_HOURS])


def _for_people(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    marks = {"withheld": "withheld", "released": "released", "raw_complete": "raw expired"}
    texts = [
        pl.when(pl.col(name) != (name == "raw_complete")).then(pl.lit(text))
        for name, text in marks.items()
    ]
    attempts = pl.when(pl.col("attempts") > 0).then(pl.format("attempt {}", pl.col("attempts")))
    why = pl.concat_str(*texts, attempts, "gap", "detail", separator="; ", ignore_nulls=True)
    return rows.select(
        *(pl.col(name).alias(title) for name, title in _COLUMNS.items()),
        pl.col("run_id").str.head(8).alias("run"),
        why.str.replace_all(r"\s+", " ").str.head(120).alias("remark"),
    )


def _print(rows: pl.DataFrame, format_: Format, nothing: str) -> None:
    if format_ is Format.json:
        sys.stdout.write(_as_json(rows) + "\n")
    elif format_ is Format.csv:
        sys.stdout.write(rows.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
    elif rows.is_empty():
        typer.echo(nothing)
    else:
        _print_table(rows)


def _as_json(rows: pl.DataFrame) -> str:
    import json
    from datetime import datetime

    def text(value: object) -> object:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(rows.to_dicts(), indent=2, default=text)


def _print_table(rows: pl.DataFrame) -> None:
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    from fleet_assets.warehouse.ledger_view import in_utc

    def cell(value: object) -> str:
        if isinstance(value, datetime):
            return in_utc(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{value:,}"
        return "" if value is None else str(value)

    printed = Table(box=None)
    for name, dtype in rows.schema.items():
        printed.add_column(name, justify="right" if dtype.is_integer() else "left", no_wrap=True)
    for row in rows.iter_rows():
        printed.add_row(*map(cell, row))
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe has no width: one line a row
        console = Console(width=400, highlight=False)
    console.print(printed)


def _require_hour(key: str | None) -> None:
    from fleet_assets.errors import FleetError
    from partitions.hours import hour_start

    if key is None:
        return
    try:
        hour_start(key)
    except ValueError as error:
        raise FleetError(f"{error}.") from None
