"""``fleet doctor``: what is wrong, each with its cure in one line."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Do what is safe: it says beside each finding if it is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Look at services, lag, gaps, hours, runs, files, disk, versions and clocks.

    Each finding is one line with its cure. Exit code 0 when nothing is found, 1 otherwise.
    """
    from fleet_assets.doctor.cures import apply_cures
    from fleet_assets.doctor.examination import Examination
    from fleet_assets.settings import Settings

    def progress(line: str) -> None:
        if not as_json and sys.stderr.isatty():
            typer.echo(f"\r\033[K{line} …", err=True, nl=False)

    def look() -> Examination:
        examination = Examination(Settings(), progress)
        examination.run()
        progress_ends()
        return examination

    def progress_ends() -> None:
        if not as_json and sys.stderr.isatty():
            typer.echo("\r\033[K", err=True, nl=False)

    examination = look()
    fixed: list[str] = []
    if fix and any(finding.fix for finding in examination.findings):
        fixed = apply_cures(examination, examination.findings, progress)
        progress_ends()
        examination = look()
    findings = examination.findings
    if as_json:
        shown = [{**dataclasses.asdict(one), "line": one.line} for one in findings]
        answer = {
            "well": not findings,
            "findings": shown,
            "fixed": fixed,
            "size_bytes": examination.sizes,
        }
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for line in fixed:
            typer.echo(f"fixed: {line}")
        for one in findings:
            typer.echo(one.line)
        typer.echo("Nothing is wrong." if not findings else f"{len(findings)} findings.")
    raise typer.Exit(1 if findings else 0)
