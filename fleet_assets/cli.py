"""The ``fleet`` command: assembles the subcommands and turns errors into one line.

Subcommand modules live in ``fleet_assets.commands``; each exposes ``register(app)``, which adds
its commands. They import what is heavy (Polars, DuckDB, Dagster) inside the functions, so that
``fleet --help`` stays quick.
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

from fleet_assets.errors import FleetError

COMMAND_MODULES = (
    "services",
    "simulate",
    "replay",
    "inject",
    "rejects",
    "vehicles",
    "contracts",
    "lake",
    "gaps",
    "ledger",
    "backfill",
    "verify",
    "doctor",
    "docs",
    "questions",
    "upkeep",
    "retention",
    "rules",
    "features",
    "models",
    "backtest",
    "bi",
    "anomalies",
)

app = typer.Typer(
    name="fleet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fleet telemetry platform: start it, feed it, look at it.",
)


def main() -> None:
    """Entry point; a FleetError becomes one line on stderr and exit code 1."""
    for name in COMMAND_MODULES:
        importlib.import_module(f"fleet_assets.commands.{name}").register(app)
    try:
        app()
    except FleetError as error:
        if os.environ.get("FLEET_TRACEBACK"):
            raise
        typer.secho(f"fleet: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
