"""``fleet anomalies``: looking at what was found, and saying whether it is true."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from fleet_assets.commands.printing import print_json

anomalies = typer.Typer(no_args_is_help=True, help="What was found: look at it, say if it is true.")
_JSON = typer.Option("--json", help="For scripts.")
_SHOWN_ID = 8


class Verdict(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """What is said of an anomaly."""

    true = "true"
    false = "false"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(anomalies, name="anomalies")


@anomalies.command("list")
def list_anomalies(
    vehicle: Annotated[str | None, typer.Option("--vehicle", help="Only of this vehicle.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", help="low, medium, high or critical.")
    ] = None,
    state: Annotated[str | None, typer.Option("--state", help="open or closed.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="That began from then on, ISO 8601.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most that are shown.")] = 50,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show anomalies, the newest first."""
    from fleet_assets.errors import FleetError
    from fleet_assets.rules.catalogue import ANOMALY_TYPES
    from fleet_assets.rules.findings import SEVERITIES
    from fleet_assets.warehouse.anomaly_feedback import Wanted, find_anomalies

    for given, allowed, what in (
        (type_, ANOMALY_TYPES, "type of anomaly"),
        (severity, SEVERITIES, "severity"),
        (state, ("open", "closed"), "state"),
    ):
        if given is not None and given not in allowed:
            raise FleetError(f"{given} is no {what}; there are {', '.join(allowed)}.")
    wanted = Wanted(vehicle, type_, severity, state, _moment(since), limit)
    found = find_anomalies(_url(), wanted)
    if as_json:
        print_json(found)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in ("id", "vehicle", "began (UTC)", "severity"):
        table.add_column(name, no_wrap=True)
    table.add_column("what", overflow="fold")
    for row in found:
        notes = ["open"] if row["state"] == "open" else []
        if row["marked_true"] is not None:
            notes.append(f"marked {str(row['marked_true']).lower()}")
        told = row["description"] + (f" ({', '.join(notes)})" if notes else "")
        began = f"{row['started_at']:%Y-%m-%d %H:%M}"
        short = row["anomaly_id"][:_SHOWN_ID]
        table.add_row(short, row["vehicle_id"], began, row["severity"], told)
    Console().print(table if found else "No anomalies like that.")


@anomalies.command()
def show(
    anomaly_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first of it.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show one anomaly: evidence, what it followed or was followed by, what was said of it."""
    from fleet_assets.warehouse.anomaly_feedback import anomaly, feedback, lineage

    url = _url()
    found = anomaly(url, anomaly_id)
    history = lineage(url, found["anomaly_id"])
    said = feedback(url, found["anomaly_id"])
    if as_json:
        print_json(found | {"lineage": history, "feedback": said})
        return
    from rich.console import Console

    console = Console()
    console.print(
        f"[bold]{found['anomaly_type']}[/bold] of {found['vehicle_id']},"
        f" {found['severity']}, {found['state']}, confidence {found['confidence']:.2f}"
    )
    console.print(found["description"])
    console.print(f"To do: {found['recommended_action']}")
    for name in ("anomaly_id", "finding_id", "rule_id", "started_at", "ended_at", "detected_at",
                 "revision", "continues_id"):  # fmt: skip
        if found[name] is not None:
            console.print(f"  {name.replace('_', ' ')}: {found[name]}", highlight=False)
    for step in found["severity_history"]:
        console.print(f"  {step['at']}: {step['severity']} by {step['rule_id']}", highlight=False)
    for name, value in found["evidence"].items():
        console.print(f"  {name.replace('_', ' ')}: {value}", highlight=False)
    for row in history:
        console.print(
            f"  {row['noted_at']:%Y-%m-%d %H:%M:%S}: {row['old_id'][:_SHOWN_ID]} →"
            f" {(row['new_id'] or 'nothing')[:_SHOWN_ID]}, {row['overlap_seconds']:.0f} s shared,"
            f" {row['cause']}",
            highlight=False,
        )
    for row in said:
        console.print(
            f"  {row['marked_at']:%Y-%m-%d %H:%M:%S}: {'true' if row['is_true'] else 'false'},"
            f" says {row['marked_by']}" + (f": {row['note']}" if row["note"] else ""),
            highlight=False,
        )


@anomalies.command()
def mark(
    anomaly_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first of it.")],
    verdict: Annotated[Verdict, typer.Argument(help="Is it true?")],
    note: Annotated[str | None, typer.Option("--note", help="Why, in words.")] = None,
) -> None:
    """Say that an anomaly is true or false. Later words count; earlier ones are kept."""
    from fleet_assets.commands.who import who
    from fleet_assets.warehouse.anomaly_feedback import mark as mark_it

    found = mark_it(_url(), anomaly_id, is_true=verdict is Verdict.true, note=note, marked_by=who())
    typer.echo(f"{found['anomaly_id']} is marked {verdict.value}: {found['description']}")


def _url() -> str:
    from fleet_assets.settings import service_address

    return service_address("postgres_url")


def _moment(given: str | None) -> Any:
    from datetime import UTC, datetime

    from fleet_assets.errors import FleetError

    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise FleetError(f"{given!r} is no time, such as 2026-01-01T05:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
