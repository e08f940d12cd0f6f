"""``fleet models ui | sync``: MLflow's pages about models, and what they show."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer


def register(models: typer.Typer) -> None:
    """Add the commands to those of models."""
    models.command()(ui)
    models.command()(sync)


def ui(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="On this machine only.")
    ] = 5000,
) -> None:
    """Show trainings and versions in MLflow's pages, until Ctrl-C.

    What is changed there changes nothing of what serves: `fleet models promote` does.
    """
    from fleet_assets.mlflow_mirror.mirror import mirror
    from fleet_assets.mlflow_mirror.ui import pages_at, ui_server
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    url, lake = service_address("postgres_url", settings), settings.lake_root
    typer.echo(mirror(url, lake).in_words)
    server = ui_server(url, lake, port)
    typer.echo(f"Open {pages_at(port)} until Ctrl-C.")
    with suppress(KeyboardInterrupt):
        server.serve_forever()
    typer.echo("Stopped.")


def sync() -> None:
    """Copy to MLflow what it lacks: versions, and who serves; exit code 1 if something failed."""
    from fleet_assets.mlflow_mirror.mirror import mirror
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    done = mirror(service_address("postgres_url", settings), settings.lake_root)
    typer.echo(done.in_words)
    for alias, version_id in done.aliases.items():
        typer.echo(f"  {alias}: {version_id}")
    if done.failed:
        raise typer.Exit(1)
