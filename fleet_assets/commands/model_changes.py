"""``fleet models promote | rollback | history``: what serves, and how that changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from fleet_assets.model_choice.audit import AuditRow, Request, Serving
    from fleet_assets.warehouse.model_registry import ModelVersion

_ALL = "all"
_MODEL = typer.Argument(metavar="MODEL", help="Id of a model, or how that begins.")
_WHY = typer.Option("--why", help="The reason; it is kept.")
_FROM = typer.Option(
    "--from", help="Event hour from which it counts (UTC); default: the next one. An earlier one"
    " has hours scored anew.",
)  # fmt: skip


def register(models: typer.Typer) -> None:
    """Add the commands to those of models."""
    models.command()(promote)
    models.command()(rollback)
    models.command()(history)


def promote(
    model: Annotated[str, _MODEL],
    why: Annotated[str, _WHY],
    group: Annotated[
        str, typer.Option("--group", help="Vehicle group; all that it was trained for.")
    ] = _ALL,
    from_: Annotated[str | None, _FROM] = None,
) -> None:
    """Let a model serve, as far as the verdict lets it.

    The first one of a group serves at once, and so does one in place of a champion that cannot be
    read any more (a damaged file, a release that takes other inputs). Any other needs a comparison
    with the champion (`fleet models evaluate`): it goes into the shadow, then to a tenth of the
    vehicles, then to all, or is refused with the reasons and exit code 1. There is no way around
    the verdict.
    """
    from fleet_assets.lake.artifacts import Artifacts
    from fleet_assets.model_flow import promote as promoting
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    url, artifacts = service_address("postgres_url", settings), Artifacts(settings.lake_root)
    found = known_model(url, model)
    groups = found.groups if group == _ALL else (group,)
    rows, refused = promoting.in_groups(
        groups, _request(groups[0], why, from_),
        lambda asked: promoting.promote(url, artifacts, found.version_id, asked),
    )  # fmt: skip
    _tell(url, settings.lake_root, rows, refused)
    if refused or any(row.action == "refuse" for row in rows):
        raise typer.Exit(1)


def rollback(
    group: Annotated[str, typer.Option("--group", help="Vehicle group, such as truck, or all.")],
    why: Annotated[str, _WHY],
    from_: Annotated[str | None, _FROM] = None,
) -> None:
    """Take the challenger away; without one, let the champion of before serve again.

    What was rolled back cannot be promoted again in this group.
    """
    from fleet_assets.lake.artifacts import Artifacts
    from fleet_assets.model_flow import promote as promoting
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.warehouse.model_registry import read_audit

    settings = Settings()
    url, artifacts = service_address("postgres_url", settings), Artifacts(settings.lake_root)
    groups = sorted({row.group for row in read_audit(url)}) if group == _ALL else [group]
    if not groups:
        typer.echo("No model serves yet: there is nothing to roll back.", err=True)
        raise typer.Exit(1)
    rows, refused = promoting.in_groups(
        groups, _request(group, why, from_),
        lambda asked: promoting.roll_back(url, artifacts, asked),
    )  # fmt: skip
    _tell(url, settings.lake_root, rows, refused)
    if refused:
        raise typer.Exit(1)


def history(
    group: Annotated[str | None, typer.Option("--group", help="Only this group.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """List all changes, newest first: who, when, from which hour on, what, why."""
    from dataclasses import asdict

    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.model_registry import read_audit

    rows = [
        row for row in read_audit(service_address("postgres_url")) if group in (None, row.group)
    ]
    if as_json:
        print_json([asdict(row) for row in rows[::-1]])
        return
    from rich.console import Console
    from rich.table import Table

    heads = "change", "made at (UTC)", "by", "group", "from (UTC)", "what", "serves then", "why"
    table = Table(*heads)
    for row in rows[::-1]:
        table.add_row(
            str(row.number), f"{row.made_at:%Y-%m-%d %H:%M}", row.made_by, row.group,
            f"{row.valid_from:%Y-%m-%d %H:%M}", row.action, _serving(row.after), row.why,
        )  # fmt: skip
    Console().print(table)


def known_model(url: str, text: str) -> ModelVersion:
    """The version of an id, or of what just one id begins with.

    Raises:
        FleetError: there is none, or more than one.
    """
    from fleet_assets.errors import FleetError
    from fleet_assets.warehouse.model_registry import version, versions

    found = [each for each in versions(url) if each.version_id.startswith(text)] if text else []
    if len(found) > 1:
        named = ", ".join(each.version_id for each in found)
        raise FleetError(f"{text} may be any of {named}: give more of the id.")
    return found[0] if found else version(url, text)


def _request(group: str, why: str, from_: str | None) -> Request:
    from fleet_assets.commands.who import who
    from fleet_assets.errors import FleetError
    from fleet_assets.model_choice.audit import Request

    if not why.strip():
        raise FleetError("Say why: --why is kept with the change.")
    valid_from = None
    if from_ is not None:
        try:
            valid_from = datetime.fromisoformat(from_)
        except ValueError:
            raise FleetError(f"{from_!r} is no hour, such as 2026-01-01T05.") from None
        if valid_from.tzinfo is None:
            valid_from = valid_from.replace(tzinfo=UTC)
        valid_from = valid_from.astimezone(UTC)
    return Request(group, datetime.now(UTC), who(), why.strip(), valid_from)


def _tell(url: str, lake_url: str, rows: list[AuditRow], refused: dict[str, str]) -> None:
    from fleet_assets.mlflow_mirror.mirror import mirror

    for row in rows:
        typer.echo(f"Change {row.number}: {_in_words(row)}")
        if row.before != row.after and row.valid_from < row.made_at:
            typer.echo(
                f"  Hours from {row.valid_from:%Y-%m-%d %H}:00 to {row.made_at:%Y-%m-%d %H}:00 UTC"
                " are scored anew with it."
            )
    for group, why in refused.items():
        typer.echo(f"{group}: {why}", err=True)
    if rows:
        done = mirror(url, lake_url)
        if done.failed:
            typer.echo(done.in_words, err=True)


def _in_words(row: AuditRow) -> str:
    when = f"in {row.group} from {row.valid_from:%Y-%m-%d %H:%M} UTC on"
    if row.action == "refuse":
        reasons = "\n".join(f"  {each}" for each in row.why.split("; "))
        if row.after is None:
            return f"refused in {row.group}, no model serves it:\n{reasons}"
        return f"refused in {row.group}, {_serving(row.after)} goes on to serve:\n{reasons}"
    if row.action == "challenge":
        reasons = "\n".join(f"  {each}" for each in row.why.split("; "))
        return f"{_serving(row.after)} {when}:\n{reasons}"
    told = f"{_serving(row.after)} serves {when}; before: {_serving(row.before)}."
    return f"{told}\n  {row.why}" if row.action == "replace" else told


def _serving(state: Serving | None) -> str:
    if state is None:
        return "none"
    if state.challenger is None:
        return state.champion
    share = "in the shadow" if state.stage == "shadow" else f"for {state.share:.0%}"
    return f"{state.champion}, {state.challenger} {share}"
