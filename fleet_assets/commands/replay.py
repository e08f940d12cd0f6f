"""``fleet replay``: sends a recording of real telemetry again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="NDJSON, one message a line; .zst: compressed.")],
    rate: Annotated[
        str, typer.Option(help="1x (the pace of its event times), messages a second, or max.")
    ] = "max",
    rebase: Annotated[
        str | None,
        typer.Option(help="Move the trips close together, so that they end now or at this time."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="First so many lines only.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to a file (.ndjson, .zst) instead of Kafka.")
    ] = None,
) -> None:
    """Send the lines of FILE to Kafka, bytes as they are, with vehicle_id as key."""
    from fleet_assets.fleet_sim.producer import KafkaSink
    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.fleet_sim.replay import Replay
    from fleet_assets.fleet_sim.runner import stopping
    from fleet_assets.fleet_sim.sinks import FileSink
    from fleet_assets.fleet_sim.times import iso, parse_rate, parse_time

    pace = parse_rate(rate)
    end_ms = None if rebase is None else parse_time(rebase)
    job = Replay(file, end_ms, limit, in_order=pace == "1x")
    sink = KafkaSink() if output is None else FileSink(output)
    with Progress("Replaying", limit) as progress, stopping(job.stop), sink:
        job.run(sink, pace, progress)
    done = job.outcome
    events = "" if done.first_ms is None else (
        f"; events {iso(done.first_ms)} to {iso(done.last_ms or done.first_ms)}"
    )  # fmt: skip
    typer.echo(
        f"{'Stopped: sent' if job.stop.is_set() else 'Sent'} {done.sent:,} messages to "
        f"{output or 'Kafka'} ({progress.rate:,.0f}/s), {done.unreadable:,} of them unreadable "
        f"and sent as they are{events}."
    )
