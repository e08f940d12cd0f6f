"""``fleet rejects``: look at what was rejected, mend it, send it again."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from fleet_assets.rejects.find import Choice
    from fleet_assets.rejects.fix import Fix
    from fleet_assets.rejects.replay import Plan

rejects = typer.Typer(no_args_is_help=True, help="Messages that were rejected: list, show, replay.")


class Format(str, Enum):  # noqa: UP042 - typer shows a str enum's values
    """How a list is printed."""

    table = "table"
    json = "json"
    csv = "csv"


Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Of this reason; repeatable.")]
Vehicle = Annotated[str | None, typer.Option(help="Of this vehicle, where it could be read.")]
From = Annotated[str | None, typer.Option("--from", help="Arrived at this time or later (UTC).")]
To = Annotated[str | None, typer.Option(help="Arrived before this time (UTC).")]
_UNICODE_LIMIT = 4_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(rejects, name="rejects")


@rejects.command("list")
def list_rejects(
    reason: Reasons = None,
    vehicle: Vehicle = None,
    from_: From = None,
    to: To = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also resolved ones and replays that were rejected.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many rows; the newest.")] = 20,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
) -> None:
    """Count rejects by reason and state, and print the newest of them."""
    import polars as pl

    from fleet_assets.lake.store import Lake
    from fleet_assets.rejects.find import REPLAY, RESOLVED, SHOWN, find_rejects
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    found = find_rejects(
        Lake(settings.lake_root),
        service_address("postgres_url", settings),
        _choice(reason, vehicle, from_, to),
    )
    if not all_:
        found = found.filter(~pl.col("state").is_in([RESOLVED, REPLAY]))
    counts = found.group_by("reason", "state").agg(messages=pl.len()).sort("reason", "state")
    rows = found.select(SHOWN).head(limit)
    if format_ is Format.json:
        told = {"counts": counts.to_dicts(), "rejects": rows.to_dicts()}
        typer.echo(json.dumps(told, default=_json_form, ensure_ascii=False))
    elif format_ is Format.csv:
        sys.stdout.write(rows.write_csv())
    else:
        _print_list(found, counts, rows)


@rejects.command()
def show(
    message: Annotated[str, typer.Argument(help="TOPIC_ID/PARTITION/OFFSET, or PARTITION/OFFSET.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Print one reject in full: why, from where, its bytes, and what became of its replays."""
    from fleet_assets.lake.store import Lake
    from fleet_assets.rejects.find import in_full
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    lake, url = Lake(settings.lake_root), service_address("postgres_url", settings)
    told = in_full(lake, url, message)
    if as_json:
        typer.echo(json.dumps(told, default=_json_form, ensure_ascii=False))
        return
    for name, value in told.items():
        if name == "replays" or (value is None and name not in ("key", "value")):
            continue
        typer.echo(f"{name:16} {_text_form(value)}")
    for number, one in enumerate(told["replays"], start=1):
        typer.echo(f"\nreplay {number}")
        for name, value in one.items():
            if value is not None:
                typer.echo(f"  {name:14} {_text_form(value)}")


@rejects.command()
def replay(
    messages: Annotated[
        list[str] | None, typer.Argument(help="Coordinates of single rejects; none: by filter.")
    ] = None,
    reason: Reasons = None,
    vehicle: Vehicle = None,
    from_: From = None,
    to: To = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="old=new: move a value to another key; repeatable.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value: a JSON value, else a text; repeatable."),
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Remove a key; repeatable.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed already.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send rejects again, mended if so asked; each is linked to its origin and never sent twice.

    Only messages that would be accepted now are sent. Keys may be paths such as gps.lat. Renames
    come first, then sets, then drops.
    """
    from fleet_assets.rejects.fix import Fix

    fix = Fix.parse(rename or (), set_ or (), drop or ())
    if messages and (reason or vehicle or from_ or to):
        from fleet_assets.errors import FleetError

        raise FleetError("Name single rejects or give a filter, not both.")
    choice = _choice(reason, vehicle, from_, to, messages or ())
    _Replay(choice, fix, again=again, limit=limit).run(dry_run=dry_run, yes=yes)


class _Replay:
    """One call of `fleet rejects replay`: settle, plan, ask, send."""

    def __init__(self, choice: Choice, fix: Fix, *, again: bool, limit: int | None) -> None:
        from fleet_assets.kafka.topic import Broker
        from fleet_assets.lake.store import Lake
        from fleet_assets.settings import Settings, service_address

        self._choice, self._fix, self._again, self._limit = choice, fix, again, limit
        self._settings = Settings()
        self._lake = Lake(self._settings.lake_root)
        self._url = service_address("postgres_url", self._settings)
        self._broker = Broker(
            service_address("kafka_bootstrap_servers", self._settings),
            self._settings.kafka_client_options(),
        )

    def run(self, *, dry_run: bool, yes: bool) -> None:
        from fleet_assets.warehouse.reject_replays import only_replayer

        if dry_run:
            _print_plan(self._plan(), self._fix)
            return
        with only_replayer(self._url):
            self._settle()
            plan = self._plan()
            _print_plan(plan, self._fix)
            if plan.chosen.is_empty():
                return
            if not yes and not _confirmed(plan.chosen.height):
                typer.echo("Nothing was sent.")
                return
            self._send(plan)

    def _settle(self) -> None:
        from fleet_assets.rejects.settle import settle

        settled = settle(self._lake, self._broker, self._url, self._settings.topic)
        if settled.sent or settled.not_sent:
            typer.echo(
                f"An earlier replay was cut off: {settled.sent:,} of its messages had been sent,"
                f" {settled.not_sent:,} had not."
            )

    def _plan(self) -> Plan:
        from datetime import UTC, datetime

        import polars as pl

        from fleet_assets.rejects.find import REPLAY, find_rejects
        from fleet_assets.rejects.replay import plan_replay
        from fleet_assets.telemetry.time_policy import TimePolicy
        from fleet_assets.warehouse.vehicles import known_vehicles

        found = find_rejects(self._lake, self._url, self._choice)
        if not self._choice.coordinates:  # a rejected replay is meant only if it is named
            found = found.filter(pl.col("state") != REPLAY)
        settings = self._settings
        policy = TimePolicy(
            settings.partitions_start, settings.future_tolerance, settings.max_lateness
        )
        known = frozenset(known_vehicles(self._url)["vehicle_id"])
        plan = plan_replay(
            self._lake, found, self._fix, policy, known, datetime.now(UTC), again=self._again
        )
        return plan if self._limit is None else plan.limited(self._limit)

    def _send(self, plan: Plan) -> None:
        import getpass
        import socket

        from fleet_assets.errors import FleetError
        from fleet_assets.fleet_sim.progress import Progress
        from fleet_assets.kafka.produce import require_topic
        from fleet_assets.kafka.topic import topic_state
        from fleet_assets.rejects.replay import replay as send_again
        from fleet_assets.warehouse.reject_replays import begin_batch, finish_batch

        topic = self._settings.topic
        require_topic(self._broker, topic)
        topic_id = topic_state(self._broker, topic).source.topic_id
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        count = plan.chosen.height
        batch = begin_batch(self._url, who, self._choice.as_json, self._fix.as_json, count)
        with Progress("Replaying", count) as progress:
            done = send_again(
                self._lake, self._broker, self._url, topic, topic_id, plan, self._fix, batch,
                progress.advance,
            )  # fmt: skip
        finish_batch(self._url, batch, done.sent)
        typer.echo(f"Sent {done.sent:,} of {count:,} messages to {topic} (batch {batch}).")
        if done.failed:
            raise FleetError(
                f"Kafka did not confirm {done.failed:,} messages ({done.error}): call the same"
                " again, it finds out which of them were stored."
            )


def _choice(
    reason: list[str] | None, vehicle: str | None, from_: str | None, to: str | None,
    messages: Iterable[str] = (),
) -> Choice:  # fmt: skip
    from datetime import UTC, datetime

    from fleet_assets.contracts.reasons import REJECT_REASONS
    from fleet_assets.errors import FleetError
    from fleet_assets.fleet_sim.times import parse_time
    from fleet_assets.lake.store import Lake
    from fleet_assets.rejects.find import Choice, locate
    from fleet_assets.settings import Settings

    if unknown := [name for name in reason or () if name not in REJECT_REASONS]:
        raise FleetError(f"Unknown reason {unknown[0]!r}: known are {', '.join(REJECT_REASONS)}.")
    start, end = (
        None if text is None else datetime.fromtimestamp(parse_time(text) / 1000, UTC)
        for text in (from_, to)
    )
    lake = Lake(Settings().lake_root)
    return Choice(
        tuple(reason or ()), vehicle, start, end, tuple(locate(lake, text) for text in messages)
    )


def _confirmed(count: int) -> bool:
    from fleet_assets.errors import FleetError

    if not sys.stdin.isatty():
        raise FleetError("Nothing was sent: give --yes to send without being asked, or --dry-run.")
    return typer.confirm(f"Send {count:,} messages?")


def _print_plan(plan: Plan, fix: Fix) -> None:
    from fleet_assets.rejects.find import HINTS
    from fleet_assets.rejects.replay import AGAIN_REJECTED, ALREADY, NO_NEED

    if plan.rows.is_empty():
        typer.echo("No such rejects.")
        return
    for row in plan.samples.iter_rows(named=True):
        typer.echo(f"{row['origin']} ({row['reason']})")
        if fix:
            typer.echo(f"  from {_text_form(row['value'], 300)}")
        typer.echo(f"  {'to  ' if fix else 'as  '} {_text_form(row['new_value'], 300)}")
        if row["new_key"] != row["key"]:
            typer.echo(f"  key  {_text_form(row['key'])} → {_text_form(row['new_key'])}")
    count = plan.chosen.height
    typer.echo(f"{count:,} to send: accepted as of now." if count else "Nothing to send.")
    if already := plan.count(ALREADY):
        typer.echo(f"{already:,} left out: replayed already (--again sends them once more).")
    for action in (AGAIN_REJECTED, NO_NEED):
        left = plan.rows.filter(plan.rows["action"] == action)
        by = "new_reason" if action == AGAIN_REJECTED else "reason"
        for (reason,), rows in sorted(left.group_by(by)):
            hint = HINTS.get(str(reason), "")
            example = rows["new_detail"][0]
            why = hint if action == NO_NEED or not example else f"for example: {example}"
            typer.echo(f"{rows.height:,} left out: {action}: {reason}. {why}".rstrip())


def _print_list(found: pl.DataFrame, counts: pl.DataFrame, rows: pl.DataFrame) -> None:
    from fleet_assets.rejects.find import HINTS

    if found.is_empty():
        typer.echo("No rejects.")
        return
    _print_table(counts)
    for reason in counts["reason"].unique().sort():
        if reason in HINTS:
            typer.echo(f"{reason}: {HINTS[reason]}.")
    typer.echo()
    _print_table(rows.drop("event_time", "event_hour"))
    if rows.height < found.height:
        typer.echo(f"The newest {rows.height:,} of {found.height:,}: --limit shows more.")


def _print_table(frame: pl.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(*frame.columns, box=None)
    for row in frame.iter_rows():
        table.add_row(*(Text("" if value is None else _short(value)) for value in row))
    if not console.is_terminal:  # a pipe has no width: one line a reject
        console = Console(width=max(console.measure(table).maximum, 4000))
    console.print(table)


def _short(value: Any) -> str:
    from datetime import datetime

    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def _text_form(value: Any, most: int = _UNICODE_LIMIT) -> str:
    """Bytes as text where they are UTF-8, else as hex; the end of long ones is left out."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        text = _decoded(value)
        shown = text if len(text) <= most else f"{text[:most]}… ({len(value):,} bytes)"
        return shown if value else "(no bytes)"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(_json_form(value))


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"hex {value.hex()}"


def _json_form(value: Any) -> Any:
    from datetime import datetime

    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return _decoded(value)
    return value if isinstance(value, str | int | float) else str(value)
