"""``fleet docs``: dbt's pages about the warehouse, from the project and the running database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(docs)


def docs(
    serve: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve the pages on this port of the loopback."),
    ] = None,
) -> None:
    """Make dbt's documentation of the warehouse: models, columns, tests, lineage."""
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    postgres_url = service_address("postgres_url", settings)
    page = _generate(postgres_url, (settings.home / "dbt").absolute())
    typer.echo(f"Open {page} in a browser.")
    if serve is not None:
        _serve(page, serve)


def _generate(postgres_url: str, state: Path) -> Path:
    """The page, which holds everything in one file."""
    import os
    import subprocess

    from fleet_assets.errors import FleetError
    from fleet_assets.warehouse.connection import connect
    from fleet_assets.warehouse.dbt_env import dbt_environment, touched_environment
    from fleet_assets.warehouse.dbt_project import PROJECT_DIR, dbt_executable

    with connect(postgres_url):  # dbt would tell the same in many lines
        pass
    target = state / "docs"
    environment = os.environ | dbt_environment(postgres_url, state) | touched_environment(None)
    environment["DBT_TARGET_PATH"] = str(target)  # beside the runs' own, which may be at work
    command = [dbt_executable(), "docs", "generate", "--static", "--quiet", "--no-use-colors"]
    command += ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    page = target / "static_index.html"
    if done.returncode != 0 or not page.exists():
        words = " ".join((done.stdout.strip() or done.stderr.strip()).split())[-500:]
        raise FleetError(f"dbt cannot make its pages ({words}): see {state / 'logs' / 'dbt.log'}")
    return page


def _serve(page: Path, port: int) -> None:
    """Answer on the loopback until Ctrl-C; whatever is asked for, the answer is the page."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from fleet_assets.errors import FleetError
    from fleet_assets.local.ports import LOOPBACK

    body = page.read_bytes()

    class OnePage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Requests are not told."""

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), OnePage)
    except OSError as error:
        raise FleetError(
            f"Port {port} cannot be used ({error.strerror}): give --serve another one."
        ) from None
    typer.echo(f"Serving it at http://{LOOPBACK}:{port} until Ctrl-C.")
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("Stopped.")
