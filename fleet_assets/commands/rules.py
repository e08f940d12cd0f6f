"""``fleet rules``: the catalogue of rules, for whoever sets or reads it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_assets.warehouse.rule_changes import Scope

rules = typer.Typer(no_args_is_help=True, help="What counts as an anomaly: the catalogue of rules.")
_CATALOGUE = typer.Option("--catalogue", help="Another catalogue than the platform's.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(rules, name="rules")


@rules.command("list")
def list_rules(
    type_: Annotated[str | None, typer.Option("--type", help="Only rules of this type.")] = None,
    catalogue: Annotated[Path | None, _CATALOGUE] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show all rules: limits by vehicle type, durations, severities, stages."""
    from fleet_assets.errors import FleetError
    from fleet_assets.rules.catalogue import ANOMALY_TYPES, CATALOGUE, read_catalogue
    from fleet_assets.rules.document import in_words

    if type_ is not None and type_ not in ANOMALY_TYPES:
        raise FleetError(f"{type_} is no type of anomaly; there are {', '.join(ANOMALY_TYPES)}.")
    found = read_catalogue(catalogue or CATALOGUE)
    chosen = [rule for rule in found.rules if type_ in (None, rule.type)]
    if as_json:
        text = [rule.model_dump(mode="json", exclude_defaults=True) for rule in chosen]
        sys.stdout.write(json.dumps(text, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "rule", "type", "title", "limit", "for s", "severity", "stage",
        title=f"release {found.release}, {len(chosen)} rules",
    )  # fmt: skip
    for rule in chosen:
        limit = in_words(found, rule, "set") if "set" in rule.parameters else ""
        name = f"{rule.id} ↑{rule.tier_of}" if rule.tier_of else rule.id
        table.add_row(
            name, rule.type, rule.title, f"{limit} {rule.unit}".strip() if limit else "",
            in_words(found, rule, "duration").removeprefix("0") or "–", rule.severity, rule.stage,
        )  # fmt: skip
    Console().print(table)


@rules.command()
def show(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule, such as R18.")],
    catalogue: Annotated[Path | None, _CATALOGUE] = None,
) -> None:
    """Say what a rule means: why, numbers, needs, exemptions, source, what to do."""
    from rich.console import Console

    from fleet_assets.rules.catalogue import CATALOGUE, read_catalogue
    from fleet_assets.rules.document import in_words

    found = read_catalogue(catalogue or CATALOGUE)
    rule = found.rule(rule_id.upper())
    console = Console()
    console.print(f"[bold]{rule.id} {rule.title}[/bold] ({rule.type}, {rule.severity})")
    console.print(rule.why)
    for name in rule.parameters:
        console.print(f"  {name.replace('_', ' ')}: {in_words(found, rule, name)}")
    facts = {
        "tier of": rule.tier_of,
        "repeats": rule.repeats,
        "needs": ", ".join(rule.needs),
        "needs one of": ", ".join(rule.needs_any),
        "exempt": "; ".join(e.reason for e in (*found.exempt_always, *rule.exempt)),
        "says": rule.says,
        "action": rule.action,
        "source": rule.source,
        "stage": f"{rule.stage}, version {rule.version}, release {found.release}",
    }
    for name, text in facts.items():
        if text:
            console.print(f"  {name}: {text}", highlight=False)


@rules.command("set")
def set_number(
    what: Annotated[
        str, typer.Argument(metavar="RULE.PARAMETER=VALUE", help="Such as R15.duration=1800.")
    ],
    scope: Annotated[
        str,
        typer.Option("--for", metavar="SCOPE:NAME", help="fleet:north, model:Sprinter, vehicle:7."),
    ],
    why: Annotated[str, typer.Option("--why", help="The reason; it is kept.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Event time from which it counts (UTC); default: now."),
    ] = None,
) -> None:
    """Put a number in place of the catalogue's, for a fleet, a model or a vehicle.

    The most specific one counts: a vehicle's before its model's before its fleet's. Try it with
    `fleet backtest --set` first.
    """
    from fleet_assets.commands.who import who
    from fleet_assets.rules.catalogue import read_catalogue
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.rule_changes import Override, set_override

    rule, parameter, value = _assignment(what)
    kind, name = _scope(scope)
    wanted = Override(rule, parameter, kind, name, _moment(from_), value)
    made = set_override(
        service_address("postgres_url"), read_catalogue(), wanted, _reason(why), who()
    )
    before = "the catalogue's number" if made.old_value is None else f"{made.old_value:g}"
    typer.echo(
        f"Change {made.change_id}: {rule}.{parameter} for {kind} {name} is {value:g} from"
        f" {made.valid_from:%Y-%m-%d %H:%M} UTC on; it was {before}."
    )


@rules.command()
def rollback(
    change_id: Annotated[int, typer.Argument(metavar="CHANGE", help="See fleet rules history.")],
    why: Annotated[str, typer.Option("--why", help="The reason; it is kept.")],
) -> None:
    """Undo a change of a number; that is a change, too."""
    from fleet_assets.commands.who import who
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.rule_changes import roll_back

    made = roll_back(service_address("postgres_url"), change_id, _reason(why), who())
    now = "the catalogue's again" if made.new_value is None else f"{made.new_value:g} again"
    typer.echo(
        f"Change {made.change_id}: {made.rule_id}.{made.parameter} for {made.scope}"
        f" {made.scope_value} is {now}."
    )


@rules.command()
def history(
    rule_id: Annotated[str | None, typer.Argument(metavar="RULE", help="Only this rule.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """List changes of numbers, newest first: who, when, old, new, why."""
    from dataclasses import asdict

    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.rule_changes import changes

    found = changes(service_address("postgres_url"), rule_id.upper() if rule_id else None)
    if as_json:
        json.dump([asdict(one) for one in found], sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "change", "made at (UTC)", "by", "number", "for", "from (UTC)", "old", "new", "why"
    )
    for one in found:
        values = ("–" if v is None else f"{v:g}" for v in (one.old_value, one.new_value))
        undoes = f" (undoes {one.rolls_back})" if one.rolls_back else ""
        table.add_row(
            f"{one.change_id}{undoes}", f"{one.made_at:%Y-%m-%d %H:%M}", one.made_by,
            f"{one.rule_id}.{one.parameter}", f"{one.scope} {one.scope_value}",
            f"{one.valid_from:%Y-%m-%d %H:%M}", *values, one.why,
        )  # fmt: skip
    Console().print(table)


@rules.command()
def lint(
    file: Annotated[Path | None, typer.Argument(help="A catalogue; the platform's own.")] = None,
) -> None:
    """Check a catalogue; every mistake is named with its rule and field; exit code 1 if any."""
    from fleet_assets.rules.catalogue import CATALOGUE, read_catalogue

    path = file or CATALOGUE
    found = read_catalogue(path)
    typer.echo(f"{path.name}: release {found.release}, {len(found.rules)} rules, no mistakes.")


@rules.command()
def docs(
    output: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is current.")
    ] = False,
) -> None:
    """Print the rules as a page."""
    from fleet_assets.commands.pages import give
    from fleet_assets.rules.catalogue import read_catalogue
    from fleet_assets.rules.document import REGENERATE, rules_page

    usual = Path("docs/rules.md")
    give(rules_page(read_catalogue()), output, check=check, usual=usual, regenerate=REGENERATE)


def _assignment(text: str) -> tuple[str, str, float]:
    from fleet_assets.errors import FleetError

    name, _, value = text.partition("=")
    rule, _, parameter = name.partition(".")
    try:
        number = float(value)
    except ValueError:
        number = None
    if number is None or not parameter:
        raise FleetError(f"{text!r} is not RULE.PARAMETER=VALUE, such as R18.set=70.")
    return rule.upper(), parameter, number


def _scope(text: str) -> tuple[Scope, str]:
    from fleet_assets.errors import FleetError

    kind, _, name = text.partition(":")
    if kind not in ("fleet", "model", "vehicle") or not name:
        raise FleetError(f"{text!r} is not fleet:NAME, model:NAME or vehicle:ID.")
    return cast("Scope", kind), name


def _moment(text: str | None) -> datetime:
    from datetime import UTC, datetime

    from fleet_assets.errors import FleetError

    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise FleetError(f"{text!r} is no time, such as 2026-01-01T00:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _reason(text: str) -> str:
    from fleet_assets.errors import FleetError

    if not text.strip():
        raise FleetError("Say why: --why is kept with the change.")
    return text.strip()
