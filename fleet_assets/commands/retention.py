"""``fleet retention | restore | erase``: what is kept how long, brought back, or forgotten."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet_assets.commands.printing import print_json

retention = typer.Typer(
    no_args_is_help=True,
    help="How long what is kept: classes, what is old, legal holds.",
)
hold = typer.Typer(no_args_is_help=True, help="Vehicles whose rows neither age nor are erased.")
retention.add_typer(hold, name="hold")
_VEHICLE = typer.Argument(metavar="VEHICLE", help="Id of the vehicle.")
_JSON = typer.Option("--json", help="Print JSON.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(retention, name="retention")
    app.command()(restore)
    app.command()(erase)


@retention.command()
def classes(as_json: Annotated[bool, _JSON] = False) -> None:
    """Print how long which tables are kept."""
    from fleet_assets.retention_flow import retention_of
    from fleet_assets.settings import Settings

    found = retention_of(Settings())
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for name, it in found.classes.items():
        how = "then the archive" if it.archive else "then removed for good"
        typer.echo(f"{name}: {it.keep.days or it.keep} days, {how}")
        typer.echo(f"  lake       {', '.join(it.lake)}")
        if it.warehouse:
            typer.echo(f"  warehouse  {', '.join(it.warehouse)}")
    for table, why in found.kept.items():
        typer.echo(f"kept: {table} ({why})")


@retention.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Archive what is old, verify the archive, then remove it from lake and warehouse."""
    import dataclasses
    from datetime import UTC, datetime

    from fleet_assets.commands.who import who
    from fleet_assets.errors import FleetError
    from fleet_assets.lake.archive import Archive
    from fleet_assets.lake.store import Lake
    from fleet_assets.retention_flow import retention_of, run_retention
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    report = run_retention(
        Lake(settings.lake_root), service_address("postgres_url"), Archive(settings.archive_root),
        retention_of(settings), datetime.now(UTC), who(), dry_run=dry_run,
    )  # fmt: skip
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        for line in report.lines(dry_run=dry_run):
            typer.echo(line)
    if report.failed:
        raise FleetError("; ".join(report.failed))


@hold.command("add")
def add(
    vehicle: Annotated[str, _VEHICLE],
    reason: Annotated[str, typer.Option(help="Why, for those who come after.")],
) -> None:
    """Hold a vehicle: its rows stay in place, whatever their age, and cannot be erased."""
    from fleet_assets.commands.who import who
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.legal_holds import place_hold

    place_hold(service_address("postgres_url"), vehicle, reason, who())
    typer.echo(f"{vehicle} is held.")


@hold.command("remove")
def remove(
    vehicle: Annotated[str, _VEHICLE],
    reason: Annotated[str, typer.Option(help="Why it may go.")],
) -> None:
    """Lift a hold; that there was one stays on record."""
    from fleet_assets.commands.who import who
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.legal_holds import lift_hold

    lift_hold(service_address("postgres_url"), vehicle, reason, who())
    typer.echo(f"{vehicle} is no longer held.")


@hold.command("list")
def list_holds(
    everything: Annotated[bool, typer.Option("--all", help="Lifted ones, too.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Print the holds in force."""
    import dataclasses

    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.legal_holds import legal_holds

    found = [it for it in legal_holds(service_address("postgres_url")) if everything or it.in_force]
    if as_json:
        print_json([dataclasses.asdict(it) for it in found])
        return
    for it in found:
        line = f"{it.vehicle_id}: {it.reason} ({it.placed_by}, {it.placed_at:%Y-%m-%d %H:%M})"
        if it.lifted_at is not None:
            line += (
                f"; lifted by {it.lifted_by}, {it.lifted_at:%Y-%m-%d %H:%M}: {it.lifted_because}"
            )
        typer.echo(line)
    if not found:
        typer.echo("No vehicle is held.")


def restore(
    table: Annotated[str, typer.Argument(help="A table of the lake, such as telemetry.")],
    first: Annotated[str, typer.Option("--from", help="First day or hour, such as 2026-01-01.")],
    last: Annotated[str, typer.Option("--to", help="Last day or hour, included.")],
    vehicle: Annotated[str | None, typer.Option(help="Only rows of this vehicle.")] = None,
) -> None:
    """Bring archived rows back: `fleet sql "FROM restored_telemetry"` reads them.

    They lie beside the lake's own tables, which stay as they are.
    """
    from fleet_assets.commands.who import who
    from fleet_assets.errors import FleetError
    from fleet_assets.lake.archive import Archive
    from fleet_assets.lake.restore import archived_keys, restore_hour, span
    from fleet_assets.lake.store import Lake
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.warehouse.retention_actions import RetentionAction, note_actions
    from fleet_assets.warehouse.turns import alone

    settings = Settings()
    lake, archive = Lake(settings.lake_root), Archive(settings.archive_root)
    url = service_address("postgres_url", settings)
    keys = archived_keys(lake, archive, table, *span(first, last))
    if not keys:
        raise FleetError(
            f"The archive {archive.url} holds nothing of {table} from {first} to {last}."
        )
    with alone(url):  # an erasure must not be undone
        done = [restore_hour(lake, archive, table, key, vehicle) for key in keys]
    rows = sum(it.rows for it in done)
    action = RetentionAction("restore", "restored", table, rows, keys[0], keys[-1])
    note_actions(url, [action], who())
    typer.echo(f'{rows:,} rows of {len(keys)} hours: fleet sql "FROM restored_{table} LIMIT 20"')


def erase(
    vehicle: Annotated[str | None, typer.Option(help="Id of the vehicle.")] = None,
    driver: Annotated[str | None, typer.Option(help="Id of the driver.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    reference: Annotated[
        str | None, typer.Option(help="Of the request, for the record, such as ticket 4711.")
    ] = None,
    keep_kafka: Annotated[
        bool, typer.Option("--keep-kafka", help="Leave Kafka's topics to their own retention.")
    ] = False,
) -> None:
    """Remove one vehicle or one driver from lake, archive, warehouse, marts and Kafka.

    Kafka can only delete the beginning of a log: what has landed goes, that of others, too.
    """
    from fleet_assets.commands.who import who
    from fleet_assets.erasure_flow import Topics, erase_subject
    from fleet_assets.errors import FleetError
    from fleet_assets.kafka.topic import Broker
    from fleet_assets.lake.archive import Archive
    from fleet_assets.lake.store import Lake
    from fleet_assets.retention.subject import Subject
    from fleet_assets.settings import Settings, service_address

    if (vehicle is None) == (driver is None):
        raise FleetError("Give either --vehicle or --driver.")
    subject = Subject("driver", driver) if driver is not None else Subject("vehicle", vehicle or "")
    settings = Settings()
    broker = None
    if not keep_kafka:
        servers = service_address("kafka_bootstrap_servers", settings)
        broker = Broker(servers, settings.kafka_client_options())
    report = erase_subject(
        Lake(settings.lake_root), service_address("postgres_url", settings),
        Archive(settings.archive_root), broker,
        Topics(settings.topic, (settings.dlq_topic, settings.anomalies_topic)),
        subject, who(), reference=reference, dry_run=dry_run,
    )  # fmt: skip
    for line in report.lines(dry_run=dry_run):
        typer.echo(line)
    if report.left:
        raise FleetError("Not all of it went: see the lines that begin with LEFT.")
