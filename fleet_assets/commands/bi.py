"""``fleet bi``: logins of people and BI tools that read the marts."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet_assets.commands.printing import print_json

bi = typer.Typer(
    no_args_is_help=True,
    help="Logins for BI tools: they read the schema marts, all of it or the rows of some fleets.",
)
_LOGIN = typer.Argument(metavar="LOGIN", help="Its name, such as dashboards.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(bi, name="bi")


@bi.command()
def grant(
    login: Annotated[str, _LOGIN],
    fleet: Annotated[
        list[str] | None,
        typer.Option("--fleet", help="See only the rows of this fleet; may be repeated."),
    ] = None,
    statement_timeout: Annotated[
        int, typer.Option("--statement-timeout", min=1, help="Seconds that a query may take.")
    ] = 60,
    connections: Annotated[
        int, typer.Option("--connections", min=1, help="Connections at once.")
    ] = 10,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give a new password to a login that is there.")
    ] = False,
) -> None:
    """Make a login, or change what one sees. Its password is shown once and kept nowhere.

    Without --fleet it sees all fleets. It can only read, and only the schema marts.
    """
    from fleet_assets.commands.who import who
    from fleet_assets.local.databases import with_login
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.bi_logins import Limits, grant_login

    url = service_address("postgres_url")
    limits = Limits(statement_timeout, connections)
    password = grant_login(url, login, fleet or None, who(), limits, new_password=new_password)
    whose = f"the rows of {', '.join(sorted(set(fleet)))}" if fleet else "all fleets"
    typer.echo(f"{login} reads marts: {whose}.")
    if password:
        typer.echo(f"Password, shown this once: {password}")
        typer.echo(f"Address: {with_login(url, login)}")


@bi.command()
def revoke(login: Annotated[str, _LOGIN]) -> None:
    """End a login and its sessions."""
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.bi_logins import revoke_login

    revoke_login(service_address("postgres_url"), login)
    typer.echo(f"{login} is no login any more.")


@bi.command("list")
def list_logins(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show who reads what."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.bi_logins import bi_logins

    found = bi_logins(service_address("postgres_url"))
    if as_json:
        print_json([asdict(each) for each in found])
        return
    if not found:
        Console().print("No logins yet: `fleet bi grant LOGIN` makes one.")
        return
    table = Table("login", "sees", "granted by", "granted (UTC)", "timeout", "connections")
    for each in found:
        table.add_row(
            each.login, "all fleets" if each.fleet_ids is None else ", ".join(each.fleet_ids),
            each.granted_by, f"{each.granted_at:%Y-%m-%d %H:%M}", each.statement_timeout or "–",
            f"{each.connected} of {each.connections}",
        )  # fmt: skip
    Console().print(table)
