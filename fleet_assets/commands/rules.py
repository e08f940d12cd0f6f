"""``fleet rules``: the catalogue of rules, for whoever sets or reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands import rule_changes
from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from fleet_assets.rules.catalogue import Rule

rules = typer.Typer(no_args_is_help=True, help="What counts as an anomaly: the catalogue of rules.")
rule_changes.register(rules)
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
    own = {} if catalogue else _own_stages()
    if as_json:
        text = [
            rule.model_dump(mode="json", exclude_defaults=True)
            | {"stage_in_force": own.get(rule.id, rule.stage)}
            for rule in chosen
        ]
        print_json(text)
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
            in_words(found, rule, "duration").removeprefix("0") or "–", rule.severity,
            _stage(rule, own),
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
    from fleet_assets.rules.document import confidence_in_words, in_words

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
        "confidence": confidence_in_words(found, rule),
        "says": rule.says,
        "action": rule.action,
        "source": rule.source,
        "stage": _stage(rule, {} if catalogue else _own_stages()),
        "version": f"{rule.version}, release {found.release}",
    }
    for name, text in facts.items():
        if text:
            console.print(f"  {name}: {text}", highlight=False)


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


def _own_stages() -> dict[str, str]:
    """Stages in force now in place of the catalogue's; none where there is no warehouse to ask."""
    from datetime import UTC, datetime

    from fleet_assets.errors import NotRunningError
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.connection import WarehouseError
    from fleet_assets.warehouse.rule_stages import stages_at

    try:
        return stages_at(service_address("postgres_url"), datetime.now(UTC))
    except NotRunningError:
        return {}
    except WarehouseError as error:
        typer.echo(f"Stages are the catalogue's: {error}", err=True)
        return {}


def _stage(rule: Rule, own: dict[str, str]) -> str:
    stage = own.get(rule.id, rule.stage)
    return stage if stage == rule.stage else f"{stage} (catalogue: {rule.stage})"
