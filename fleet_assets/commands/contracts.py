"""``fleet contracts``: the wire format and the tables, for people who send or read data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from fleet_assets.telemetry.findings import Finding
    from fleet_assets.telemetry.placement import TimePolicy

contracts = typer.Typer(no_args_is_help=True, help="What messages and tables must look like.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(contracts, name="contracts")


@contracts.command()
def validate(
    file: Annotated[Path, typer.Argument(help="NDJSON, one message a line; .zst: compressed.")],
    any_time: Annotated[
        bool,
        typer.Option("--any-time", help="Accept every event time; else as if the file came now."),
    ] = False,
    max_errors: Annotated[
        int, typer.Option(min=0, help="Show at most so many findings of each severity.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what the platform would reject, refuse or keep aside; exit code 1 if it would lose any.

    Vehicles and duplicates are not looked at: they depend on the register and on other messages.
    """
    shown: list[tuple[int, Finding]] = []
    counts: Counter[tuple[str, str]] = Counter()
    severities: Counter[str] = Counter()
    messages = 0
    for read, found in _judged(file, any_time):
        messages = read
        for line, finding in found:
            counts[finding.severity, finding.reason] += 1
            severities[finding.severity] += 1
            if severities[finding.severity] <= max_errors:
                shown.append((line, finding))
                if not as_json:
                    _print_finding(line, finding)
    lossy = bool(severities["rejected"] or severities["value refused"])
    if as_json:
        _print_json(file, messages, shown, counts)
    else:
        _print_summary(file, messages, len(shown), counts)
    raise typer.Exit(1 if lossy else 0)


@contracts.command()
def schema() -> None:
    """Print the JSON Schema of a telemetry message."""
    from fleet_assets.contracts.wire import wire_schema

    print_json(wire_schema())


@contracts.command()
def dictionary(
    output: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is current.")
    ] = False,
) -> None:
    """Print the data dictionary: signals, reject reasons, tables."""
    from fleet_assets.commands.pages import give
    from fleet_assets.contracts.dictionary import REGENERATE, data_dictionary

    usual = Path("docs/data-dictionary.md")
    give(data_dictionary(), output, check=check, usual=usual, regenerate=REGENERATE)


def _judged(file: Path, any_time: bool) -> Iterator[tuple[int, list[tuple[int, Finding]]]]:
    """Messages read so far, and the findings of the last chunk with their line numbers."""
    from datetime import UTC, datetime

    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.fleet_sim.recording import read_lines
    from fleet_assets.telemetry.findings import findings

    policy, arrival, read = _policy(any_time), datetime.now(UTC), 0
    with Progress("Validating", None) as progress:
        for lines in read_lines(file, None):
            found = findings(lines, arrival, policy)
            numbered = [(read + finding.index + 1, finding) for finding in found]
            read += len(lines)
            progress.advance(len(lines))
            yield read, numbered


def _policy(any_time: bool) -> TimePolicy:
    from fleet_assets.settings import Settings
    from fleet_assets.telemetry.placement import ANY_TIME, TimePolicy

    if any_time:
        return ANY_TIME
    settings = Settings()
    return TimePolicy(settings.partitions_start, settings.future_tolerance, settings.max_lateness)


def _print_finding(line: int, finding: Finding) -> None:
    typer.echo(f"line {line}: {finding.severity}: {finding.reason}: {finding.detail}")


def _print_summary(file: Path, messages: int, shown: int, counts: Counter[tuple[str, str]]) -> None:
    if counts.total() > shown:
        typer.echo(f"… and {counts.total() - shown:,} more (see --max-errors).")
    typer.echo(f"{file}: {messages:,} messages" + (", no findings." if not counts else ":"))
    for (severity, reason), count in sorted(counts.items()):
        typer.echo(f"  {count:>10,}  {severity}: {reason}")


def _print_json(
    file: Path,
    messages: int,
    shown: list[tuple[int, Finding]],
    counts: Counter[tuple[str, str]],
) -> None:
    report = {
        "file": str(file),
        "messages": messages,
        "findings": [
            {"line": n, "severity": f.severity, "reason": f.reason, "detail": f.detail}
            for n, f in shown
        ],
        "counts": [
            {"severity": severity, "reason": reason, "count": count}
            for (severity, reason), count in sorted(counts.items())
        ],
    }
    print_json(report)
