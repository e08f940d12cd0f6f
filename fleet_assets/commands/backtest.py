"""``fleet backtest``: what a change of the rules would have changed, on the lake's own history."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from fleet_assets.lake.rule_replay import Replayed, Variant
    from fleet_assets.rules.backtest import Report


class Format(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """How the report is given."""

    table = "table"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backtest)


def backtest(
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="The proposed catalogue; the one in force.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="RULE.PARAMETER=VALUE[@SCOPE:NAME]",
            help="A proposed number, such as R18.set=70 or R18.set=60@fleet:north, or stage, such"
            " as R18.stage=live; may be repeated. Without a scope a number replaces the"
            " catalogue's, for all types of vehicles.",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Compare with this catalogue instead.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First hour, such as 2026-01-01T00; the oldest.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last hour; the newest.")] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Known faults (fleet simulate --truth): recall, precision."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.table,
    html: Annotated[Path | None, typer.Option("--html", help="Write a report with plots.")] = None,
) -> None:
    """Run proposed rules and those in force over a span of the lake; nothing is written to it.

    Shows which findings appear, vanish or change: by type, by rule, for the vehicles that are
    affected most, and per 100 vehicle-days; and how many are right, as far as that is known. Rules
    on trial (shadow) count like live ones. The backtest is kept in the warehouse, and its id
    printed last: a rule goes live by it.
    """
    from fleet_assets.errors import FleetError
    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.fleet_sim.truth import read_truth
    from fleet_assets.lake.history_replay import history_findings
    from fleet_assets.lake.rule_replay import pinned_intervals, replay
    from fleet_assets.lake.store import Lake
    from fleet_assets.settings import Settings, service_address

    if catalogue is None and not change:
        raise FleetError("Nothing is proposed: give --catalogue FILE, or --set such as R18.set=70.")
    settings = Settings()
    url = service_address("postgres_url", settings)
    variants = _variants(url, catalogue, against, change or [])
    faults = None if truth is None else read_truth(truth)
    lake = Lake(settings.lake_root)
    telemetry = lake.find("telemetry")
    hours = [] if telemetry is None else _hours(telemetry.files, first, last)
    if telemetry is None or not hours:
        raise FleetError("The lake has no telemetry in this span: see `fleet ledger`.")
    rows = int(telemetry.files_of(hours)["num_records"].sum())
    with Progress("Judging", rows, shown=format_ is Format.table) as progress:
        usual = pinned_intervals(lake)
        found = replay(telemetry, hours, variants, intervals=usual, advance=progress.advance)
        rate = progress.rate
    found = found.with_more(history_findings(lake, hours, variants))
    told = _report(url, found, hours, faults)
    as_json = _as_json(told, hours, found.rows)
    backtest_id = _kept(url, variants, change or [], as_json)
    if html is not None:
        from fleet_assets.rules.backtest_page import page

        html.write_text(page(told, hours[0], hours[-1], backtest_id), encoding="utf-8")
    if format_ is Format.json:
        text = json.dumps(as_json | {"backtest_id": backtest_id}, indent=2, default=str)
        sys.stdout.write(text + "\n")
        return
    _print(told, hours, found.rows, rate)
    if backtest_id is not None:
        typer.echo(f"backtest {backtest_id}")


def _variants(
    url: str, catalogue: Path | None, against: Path | None, changes: list[str]
) -> tuple[Variant, Variant]:
    """The rules in force and those that are proposed, with the stages in force now."""
    from datetime import UTC, datetime

    from fleet_assets.lake.rule_replay import Variant
    from fleet_assets.rules.catalogue import CATALOGUE, read_catalogue
    from fleet_assets.rules.proposal import with_proposed, with_stages
    from fleet_assets.rules.resolve import InForce
    from fleet_assets.warehouse.rule_changes import overrides_in_force
    from fleet_assets.warehouse.rule_stages import stages_at
    from fleet_assets.warehouse.rule_vehicles import vehicles_by_time

    known = InForce(vehicles_by_time(url), overrides_in_force(url))
    stages = stages_at(url, datetime.now(UTC))
    before = with_stages(read_catalogue(against or CATALOGUE), stages)
    proposed = with_stages(read_catalogue(catalogue or against or CATALOGUE), stages)
    return Variant(before, known), Variant(*with_proposed(proposed, known, changes))


def _hours(files: pl.DataFrame, first: str | None, last: str | None) -> list[str]:
    from fleet_assets.errors import FleetError
    from partitions.hours import hour_start

    for given in (first, last):
        if given is not None:
            try:
                hour_start(given)
            except ValueError:
                raise FleetError(f"{given!r} is no hour, such as 2026-01-01T05.") from None
    known: list[str] = sorted(files["event_hour"].unique().to_list())
    return [hour for hour in known if (first or hour) <= hour <= (last or hour)]


def _report(url: str, found: Replayed, hours: list[str], faults: pl.DataFrame | None) -> Report:
    """The comparison, with what is known of how many findings are right."""
    from dataclasses import replace

    from fleet_assets.rules.backtest import compare, report
    from fleet_assets.rules.precision import by_feedback, by_truth
    from fleet_assets.warehouse.marks import marks
    from partitions.hours import HOUR, hour_start

    before, after = found.findings
    begin, end = hour_start(hours[0]), hour_start(hours[-1]) + HOUR
    told = report(compare(before, after), found.vehicle_days)
    told = replace(told, by_feedback=by_feedback(before, after, marks(url, begin, end)))
    if faults is None:
        return told
    return replace(told, by_truth=by_truth(before, after, faults, begin, end))


def _kept(
    url: str, variants: tuple[Variant, Variant], changes: list[str], as_json: dict[str, Any]
) -> str | None:
    """Keeps the backtest; its id. The report is given even where it could not be kept."""
    from fleet_assets.commands.who import who
    from fleet_assets.warehouse.backtests import Proposal, record_backtest
    from fleet_assets.warehouse.connection import WarehouseError

    before, after = (variant.catalogue for variant in variants)
    try:
        return record_backtest(url, Proposal(before, after, tuple(changes)), as_json, who())
    except WarehouseError as error:
        typer.echo(f"The backtest is not kept, no rule can go live by it: {error}", err=True)
        return None


def _as_json(told: Report, hours: list[str], rows: int) -> dict[str, Any]:
    names = ("by_type", "by_rule", "by_vehicle", "by_day", "by_truth", "by_feedback")
    return {
        "first_hour": hours[0],
        "last_hour": hours[-1],
        "rows": rows,
        "vehicle_days": told.vehicle_days,
        "changes": told.changes,
        **{name: getattr(told, name).to_dicts() for name in names},
    }


def _print(told: Report, hours: list[str], rows: int, rate: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{rows:,} rows of {told.vehicle_days:,.1f} vehicle-days in {len(hours):,} hours,"
        f" {hours[0]} to {hours[-1]}; {rate:,.0f} rows/s; {told.changes:,} findings differ"
    )
    for title, frame in told.tables:
        table = Table(*(name.replace("_", " ") for name in frame.columns), title=title.lower())
        for row in frame.iter_rows():
            table.add_row(*(_cell(value) for value in row))
        console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
