"""``fleet rules set | stage | rollback | history``: changes that the warehouse keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_assets.warehouse.rule_changes import Change, Scope
    from fleet_assets.warehouse.rule_stages import StageChange

_WHY = typer.Option("--why", help="The reason; it is kept.")
_FROM = typer.Option("--from", help="Event time from which it counts (UTC); default: now.")


def register(rules: typer.Typer) -> None:
    """Add the commands to those of rules."""
    rules.command("set")(set_number)
    rules.command("stage")(stage)
    rules.command("rollback")(rollback)
    rules.command("history")(history)


def set_number(
    what: Annotated[
        str, typer.Argument(metavar="RULE.PARAMETER=VALUE", help="Such as R15.duration=1800.")
    ],
    scope: Annotated[
        str,
        typer.Option("--for", metavar="SCOPE:NAME", help="fleet:north, model:Sprinter, vehicle:7."),
    ],
    why: Annotated[str, _WHY],
    from_: Annotated[str | None, _FROM] = None,
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


def stage(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule, such as R18.")],
    wanted: Annotated[str, typer.Argument(metavar="STAGE", help="off, shadow or live.")],
    why: Annotated[str, _WHY],
    from_: Annotated[str | None, _FROM] = None,
    backtest: Annotated[
        str | None,
        typer.Option("--backtest", metavar="ID", help="What a rule goes live by: fleet backtest."),
    ] = None,
) -> None:
    """Put a rule on trial (shadow), let it make anomalies (live), or stop judging by it (off).

    Hours that begin from then on are judged so. A rule goes live only by a backtest that covers
    it, as it stands in the catalogue.
    """
    from fleet_assets.commands.who import who
    from fleet_assets.rules.catalogue import read_catalogue
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.rule_stages import WantedStage, set_stage, stages_at

    url, catalogue = service_address("postgres_url"), read_catalogue()
    asked = WantedStage(rule_id.upper(), wanted, _moment(from_), backtest)
    before = stages_at(url, asked.valid_from).get(
        asked.rule_id, catalogue.rule(asked.rule_id).stage
    )
    made = set_stage(url, catalogue, asked, _reason(why), who())
    typer.echo(
        f"Change {made.change_id}: {made.rule_id} is {made.new_stage} in hours from"
        f" {made.valid_from:%Y-%m-%d %H:%M} UTC on; it was {before}.{_later(url, made)}"
    )


def rollback(
    change_id: Annotated[int, typer.Argument(metavar="CHANGE", help="See fleet rules history.")],
    why: Annotated[str, _WHY],
) -> None:
    """Undo a change of a number or of a stage; that is a change, too."""
    from fleet_assets.commands.who import who
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.rule_changes import roll_back
    from fleet_assets.warehouse.rule_stages import roll_back_stage

    url = service_address("postgres_url")
    of_stage = roll_back_stage(url, change_id, _reason(why), who())
    if of_stage is not None:
        typer.echo(_staged_again(url, of_stage))
        return
    made = roll_back(url, change_id, _reason(why), who())
    now = "the catalogue's again" if made.new_value is None else f"{made.new_value:g} again"
    typer.echo(
        f"Change {made.change_id}: {made.rule_id}.{made.parameter} for {made.scope}"
        f" {made.scope_value} is {now}."
    )


def history(
    rule_id: Annotated[str | None, typer.Argument(metavar="RULE", help="Only this rule.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """List changes of numbers and stages, newest first: who, when, old, new, why."""
    from dataclasses import asdict

    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.rule_changes import changes
    from fleet_assets.warehouse.rule_stages import stage_changes

    url, rule = service_address("postgres_url"), rule_id.upper() if rule_id else None
    both: list[Change | StageChange] = [*changes(url, rule), *stage_changes(url, rule)]
    found = sorted(both, key=lambda one: one.change_id, reverse=True)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("change", "made at (UTC)", "by", "what", "for", "from (UTC)", "old", "new", "why")
    for one in found:
        undoes = f" (undoes {one.rolls_back})" if one.rolls_back else ""
        what, scope, old, new, by = _in_words(one)
        table.add_row(
            f"{one.change_id}{undoes}", f"{one.made_at:%Y-%m-%d %H:%M}", one.made_by, what, scope,
            f"{one.valid_from:%Y-%m-%d %H:%M}", old, new, one.why + by,
        )  # fmt: skip
    Console().print(table)


def _in_words(one: Change | StageChange) -> tuple[str, str, str, str, str]:
    """What was changed, for whom, old, new, and the backtest behind it."""
    from fleet_assets.warehouse.rule_changes import Change

    if isinstance(one, Change):
        old, new = (
            "–" if value is None else f"{value:g}" for value in (one.old_value, one.new_value)
        )
        return f"{one.rule_id}.{one.parameter}", f"{one.scope} {one.scope_value}", old, new, ""
    by = f" (backtest {one.backtest_id})" if one.backtest_id else ""
    old, new = (stage or "as before" for stage in (one.old_stage, one.new_stage))
    return f"{one.rule_id}.stage", "all", old, new, by


def _staged_again(url: str, made: StageChange) -> str:
    from fleet_assets.rules.catalogue import read_catalogue
    from fleet_assets.warehouse.rule_stages import stages_at

    known: dict[str, Any] = {rule.id: rule.stage for rule in read_catalogue().rules}
    now = (known | stages_at(url, made.valid_from)).get(made.rule_id, "no rule")
    return (
        f"Change {made.change_id}: {made.rule_id} is {now} again in hours from"
        f" {made.valid_from:%Y-%m-%d %H:%M} UTC on.{_later(url, made)}"
    )


def _later(url: str, made: StageChange) -> str:
    """Stages that take this one's place later on."""
    import polars as pl

    from fleet_assets.warehouse.rule_stages import stages_in_force

    later = stages_in_force(url).filter(
        (pl.col("rule_id") == made.rule_id) & (pl.col("valid_from") > made.valid_from)
    )
    return "".join(
        f" It is {stage} from {since:%Y-%m-%d %H:%M} UTC on."
        for since, stage in later.select("valid_from", "stage").iter_rows()
    )


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
