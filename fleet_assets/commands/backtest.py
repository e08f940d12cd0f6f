"""``fleet backtest``: what a change of the rules would have changed, on the lake's own history."""

from __future__ import annotations

import json
import re
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from fleet_assets.rules.backtest import Report
    from fleet_assets.rules.resolve import InForce

_OVERRIDE = re.compile(
    r"(?P<rule>R\d{2})\.(?P<parameter>[a-z_]+)=(?P<value>-?[\d.]+)"
    r"(?:@(?P<scope>fleet|model|vehicle):(?P<of>.+))?"
)


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
            help="A proposed number, such as R18.set=70 or R18.set=60@fleet:north; may be repeated."
            " Without a scope it replaces the catalogue's, for all types of vehicles.",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Compare with this catalogue instead.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First hour, such as 2026-01-01T00; the oldest.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last hour; the newest.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.table,
    html: Annotated[Path | None, typer.Option("--html", help="Write a report with plots.")] = None,
) -> None:
    """Run proposed rules and those in force over a span of the lake; nothing is written to it.

    Shows which findings appear, vanish or change: by type, by rule, for the vehicles that are
    affected most, and per 100 vehicle-days.
    """
    from fleet_assets.errors import FleetError
    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.lake.rule_replay import Variant, replay
    from fleet_assets.lake.store import Lake
    from fleet_assets.rules.backtest import compare, report
    from fleet_assets.rules.catalogue import CATALOGUE, read_catalogue
    from fleet_assets.settings import Settings

    if catalogue is None and not change:
        raise FleetError("Nothing is proposed: give --catalogue FILE, or --set such as R18.set=70.")
    settings = Settings()
    before = Variant(read_catalogue(against or CATALOGUE), _known(settings))
    proposed = read_catalogue(catalogue or against or CATALOGUE)
    proposed, known = _changed(proposed, before.known, change or [])
    telemetry = Lake(settings.lake_root).find("telemetry")
    hours = [] if telemetry is None else _hours(telemetry.files, first, last)
    if telemetry is None or not hours:
        raise FleetError("The lake has no telemetry in this span: see `fleet ledger`.")
    rows = int(telemetry.files_of(hours)["num_records"].sum())
    with Progress("Judging", rows, shown=format_ is Format.table) as progress:
        found = replay(
            telemetry, hours, [before, Variant(proposed, known)], advance=progress.advance
        )
        told = report(compare(*found.findings), found.vehicle_days)
        rate = progress.rate
    if html is not None:
        from fleet_assets.rules.backtest_page import page

        html.write_text(page(told, hours[0], hours[-1]), encoding="utf-8")
    if format_ is Format.json:
        sys.stdout.write(
            json.dumps(_as_json(told, hours, found.rows), indent=2, default=str) + "\n"
        )
        return
    _print(told, hours, found.rows, rate)


def _known(settings: Any) -> InForce:
    from fleet_assets.rules.resolve import InForce
    from fleet_assets.settings import resolve_endpoints
    from fleet_assets.warehouse.rule_changes import overrides_in_force
    from fleet_assets.warehouse.rule_vehicles import vehicles_by_time

    url = resolve_endpoints(settings).postgres_url
    return InForce(vehicles_by_time(url), overrides_in_force(url))


def _changed(catalogue: Any, known: InForce, changes: list[str]) -> tuple[Any, InForce]:
    """The catalogue and what is known, with the proposed numbers."""
    from dataclasses import replace

    import polars as pl

    from fleet_assets.errors import FleetError
    from fleet_assets.rules.catalogue import Parameter

    for text in changes:
        given = _OVERRIDE.fullmatch(text)
        if given is None:
            raise FleetError(f"{text!r} is not RULE.PARAMETER=VALUE, such as R18.set=70.")
        rule = catalogue.rule(given["rule"])
        if given["parameter"] not in rule.parameters:
            raise FleetError(
                f"{rule.id} has no parameter {given['parameter']}; it has"
                f" {', '.join(rule.parameters)}."
            )
        value = float(given["value"])
        if given["scope"] is None:
            parameters = rule.parameters | {given["parameter"]: Parameter(value=value)}
            other = rule.model_copy(update={"parameters": parameters})
            rules = tuple(other if r.id == rule.id else r for r in catalogue.rules)
            catalogue = type(catalogue).model_validate(
                catalogue.model_copy(update={"rules": rules}).model_dump()
            )
            continue
        row = {
            "rule_id": [rule.id], "parameter": [given["parameter"]], "scope": [given["scope"]],
            "scope_value": [given["of"]], "valid_from": [None], "value": [value],
        }  # fmt: skip
        schema = known.overrides.schema
        begin = pl.datetime(1970, 1, 1, time_unit="us", time_zone="UTC")
        more = pl.DataFrame(row, schema=schema).with_columns(valid_from=begin)
        # it takes the place of those that are in force for the same fleet, model or vehicle
        others = known.overrides.join(
            more, on=["rule_id", "parameter", "scope", "scope_value"], how="anti"
        )
        known = replace(known, overrides=pl.concat([others, more]))
    return catalogue, known


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


def _as_json(told: Report, hours: list[str], rows: int) -> dict[str, Any]:
    return {
        "first_hour": hours[0],
        "last_hour": hours[-1],
        "rows": rows,
        "vehicle_days": told.vehicle_days,
        "changes": told.changes,
        **{
            name: getattr(told, name).to_dicts()
            for name in ("by_type", "by_rule", "by_vehicle", "by_day")
        },
    }


def _print(told: Report, hours: list[str], rows: int, rate: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{rows:,} rows of {told.vehicle_days:,.1f} vehicle-days in {len(hours):,} hours,"
        f" {hours[0]} to {hours[-1]}; {rate:,.0f} rows/s; {told.changes:,} findings differ"
    )
    for title, frame in (
        ("by type", told.by_type),
        ("by rule", told.by_rule),
        ("vehicles with most changes", told.by_vehicle),
    ):
        if frame.is_empty():
            continue
        table = Table(*(name.replace("_", " ") for name in frame.columns), title=title)
        for row in frame.iter_rows():
            table.add_row(*(f"{v:,}" if isinstance(v, int | float) else str(v) for v in row))
        console.print(table)
