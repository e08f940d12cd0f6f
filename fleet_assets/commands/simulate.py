"""``fleet simulate``: a physically consistent fleet, with faults and mishaps on demand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fleet_assets.fleet_sim.simulation import Options

ALL_KINDS = (
    "high_rpm,harsh_braking,prolonged_idling,over_speeding,"
    "engine_overheat,low_fuel,gps_anomaly,sensor_failure"
)
DEMO: dict[str, Any] = {
    "vehicles": 24, "interval": 2.0, "faults": 0.5, "late": 0.01, "reorder": 0.01,
    "duplicate": 0.005, "corrupt": 0.002, "late_by": "10s..40m",
}  # fmt: skip
"""What ``--demo`` stands for; its back-fill reaches this far back:"""
DEMO_BACKFILL = "3h"
WEEK_MS = 7 * 24 * 3_600_000
MONDAY_MS = 4 * 24 * 3_600_000
"""The first Monday of the epoch."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    vehicles: Annotated[int, typer.Option(min=1, help="How many vehicles.")] = 24,
    span: Annotated[
        str | None,
        typer.Option(help="How much event time, e.g. 10m, 2h, 1d; with 1x for ever if not given."),
    ] = None,
    rate: Annotated[
        str, typer.Option(help="1x (in step with the clock), messages a second, or max.")
    ] = "1x",
    start: Annotated[
        str,
        typer.Option(help="First event time, ISO 8601, or now; if not 1x, the span ends now."),
    ] = "now",
    interval: Annotated[
        float, typer.Option(min=0.02, help="Seconds between samples of a vehicle.")
    ] = 1.0,
    parked_interval: Annotated[
        float | None,
        typer.Option(help="Seconds between samples with the engine off; default: --interval."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and options: same messages.")] = 1,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share that arrives late.")] = 0.0,
    late_by: Annotated[str, typer.Option(help="How late: from..to, e.g. 10s..2h.")] = "10s..2h",
    reorder: Annotated[
        float, typer.Option(min=0, max=1, help="Share that the vehicle's next ones overtake.")
    ] = 0.0,
    duplicate: Annotated[float, typer.Option(min=0, max=1, help="Share that is sent twice.")] = 0.0,
    corrupt: Annotated[
        float, typer.Option(min=0, max=1, help="Share that is spoilt, in a dozen ways.")
    ] = 0.0,
    faults: Annotated[
        float,
        typer.Option(min=0, help="Below 1: share of vehicles with a fault; else how many faults."),
    ] = 0.0,
    fault_kinds: Annotated[str, typer.Option(help="Which kinds, with commas between.")] = ALL_KINDS,
    truth: Annotated[
        Path | None, typer.Option(help="Write the faults' ground truth (.ndjson or .csv).")
    ] = None,
    to: Annotated[str, typer.Option(help="kafka.")] = "kafka",
    output: Annotated[
        Path | None, typer.Option(help="Write to a file (.ndjson, .zst) instead of Kafka.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Write counts of what was sent (JSON).")
    ] = None,
    register_first: Annotated[
        bool | None,
        typer.Option(
            "--register/--no-register",
            help="Register the vehicles first; default: when sending to Kafka.",
        ),
    ] = None,
    vehicles_csv: Annotated[
        Path | None, typer.Option(help="Write the vehicles for `fleet vehicles import`.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Of the vehicles' ids.")] = "SIM",
    demo: Annotated[
        bool, typer.Option("--demo", help="The demo fleet: fills the last hours, then is live.")
    ] = False,
) -> None:
    """Send the telemetry of a simulated fleet to Kafka or to a file."""
    from fleet_assets.errors import FleetError

    if to != "kafka":
        raise FleetError(f"--to {to} is unknown: it is kafka; use --output FILE for a file.")
    chosen: dict[str, Any] = {
        "vehicles": vehicles, "interval": interval, "faults": faults, "late": late,
        "reorder": reorder, "duplicate": duplicate, "corrupt": corrupt, "late_by": late_by,
    }  # fmt: skip
    if demo:
        span, rate, start = None, "1x", "now"
        chosen |= DEMO
    options = _options(
        chosen, span=span, rate=rate, start=start, parked_interval=parked_interval, seed=seed,
        fault_kinds=fault_kinds, prefix="DEMO" if demo else prefix, demo=demo,
    )  # fmt: skip
    _run(options, rate, output, manifest, truth, register_first, vehicles_csv, demo)


def _options(
    chosen: dict[str, Any], *, span: str | None, rate: str, start: str,
    parked_interval: float | None, seed: int, fault_kinds: str, prefix: str, demo: bool,
) -> Options:  # fmt: skip
    from datetime import timedelta

    from fleet_assets.errors import FleetError
    from fleet_assets.fleet_sim.faults import FAULT_KINDS
    from fleet_assets.fleet_sim.simulation import Options
    from fleet_assets.fleet_sim.times import parse_duration, parse_range, parse_time
    from fleet_assets.fleet_sim.transport import Mishaps

    kinds = [kind.strip() for kind in fault_kinds.split(",")]
    if unknown := [kind for kind in kinds if kind not in FAULT_KINDS]:
        raise FleetError(f"Unknown fault kind {unknown[0]!r}: known are {', '.join(FAULT_KINDS)}.")
    if span is None and rate != "1x":
        raise FleetError("Only --rate 1x can go on for ever: give --span, for example --span 10m.")
    if chosen["late"] + chosen["reorder"] + chosen["corrupt"] > 1:
        raise FleetError("--late, --reorder and --corrupt together must not exceed 1.")
    milli = timedelta(milliseconds=1)
    span_ms = None if span is None else parse_duration(span) // milli
    start_ms = parse_time(start)
    skip_ms = 0
    if demo:  # the plan begins with the week: a restart sends the same messages again, no others
        begin_ms = start_ms - parse_duration(DEMO_BACKFILL) // milli
        skip_ms = (begin_ms - MONDAY_MS) % WEEK_MS
        start_ms = begin_ms - skip_ms
    elif start == "now" and rate != "1x" and span_ms is not None:
        start_ms -= span_ms  # events in the future would be rejected
    low, high = parse_range(chosen["late_by"])
    return Options(
        vehicles=chosen["vehicles"],
        start_ms=start_ms,
        span_ms=span_ms,
        seed=seed,
        interval_ms=max(round(chosen["interval"] * 1000), 1),
        parked_every=max(round((parked_interval or chosen["interval"]) / chosen["interval"]), 1),
        mishaps=Mishaps(
            chosen["late"], chosen["reorder"], chosen["duplicate"], chosen["corrupt"],
            (low.total_seconds(), high.total_seconds()),
        ),
        faults=chosen["faults"],
        fault_kinds=tuple(kind for kind in FAULT_KINDS if kind in kinds),
        prefix=prefix,
        skip_ms=skip_ms,
    )  # fmt: skip


def _run(
    options: Options, rate: str, output: Path | None, manifest: Path | None, truth: Path | None,
    register_first: bool | None, vehicles_csv: Path | None, demo: bool,
) -> None:  # fmt: skip
    from fleet_assets.fleet_sim.producer import KafkaSink
    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.fleet_sim.register import register_vehicles, write_csv
    from fleet_assets.fleet_sim.runner import Reports, Runner, stopping
    from fleet_assets.fleet_sim.simulation import Simulation
    from fleet_assets.fleet_sim.sinks import FileSink
    from fleet_assets.fleet_sim.times import parse_rate

    pace = parse_rate(rate)
    simulation = Simulation(options)
    if vehicles_csv is not None:
        write_csv(vehicles_csv, simulation.fleet)
    if register_first or (register_first is None and output is None):
        register_vehicles(simulation.fleet)
        typer.echo(f"Registered {options.vehicles:,} vehicles.", err=True)
    per_vehicle = simulation.samples_total
    total = None if per_vehicle is None else per_vehicle * options.vehicles
    with Progress("Simulating", total) as progress:
        sink = KafkaSink() if output is None else FileSink(output)
        runner = Runner(
            simulation, sink, pace, Reports(manifest, truth), progress, follow_clock=demo
        )
        try:
            with stopping(runner.stop), sink:
                runner.run()
        finally:
            runner.report()
    _say(runner, progress.rate, output)


def _say(runner: Any, per_second: float, output: Path | None) -> None:
    counts = runner.manifest.summary()
    typer.echo(
        f"{'Stopped: sent' if runner.stop.is_set() else 'Sent'} {counts['messages']:,} messages "
        f"to {output or 'Kafka'} ({per_second:,.0f}/s): {counts['unique_valid_keys']:,} valid, "
        f"{counts['duplicates']:,} duplicate, {sum(counts['corrupt'].values()):,} corrupt, "
        f"{counts['late']:,} late; events {counts['first_event']} to {counts['last_event']}."
    )
