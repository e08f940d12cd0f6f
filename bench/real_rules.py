"""What the rules find on real trips of healthy cars, by the hour that they were driven.

`python -m bench.real_rules [FOLDER]`: with a folder, each finding of the mechanical, GPS and sensor
types is drawn there with the signals around it, so that it can be looked at.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.messages import REAL, real_messages
from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import RAW_TELEMETRY
from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Catalogue, read_catalogue
from fleet_assets.rules.detect import pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.history.find import trip_findings
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.resolve import VEHICLE_SCHEMA, InForce, resolve
from fleet_assets.rules.samples import samples_of
from fleet_assets.telemetry.hour import step
from fleet_assets.telemetry.placement import place
from fleet_assets.telemetry.time_policy import ANY_TIME
from fleet_assets.trips.limits import trip_limits
from fleet_assets.trips.pieces import trip_pieces
from fleet_assets.trips.stitch import stitch_trips

WANTED: Final = [s.name for s in SIGNALS if s.kind in ("number", "boolean")]
HEALTH_TYPES: Final = (
    "high_rpm", "engine_overheat", "low_fuel", "battery_voltage", "diagnostic_trouble_code",
    "gps_anomaly", "sensor_failure",
)  # fmt: skip
"""Mechanical, GPS and sensor types: on a healthy car they should be rare."""
MOST_GRAVE: Final = 1 / 20
MOST_OF_ANY: Final = 1 / 2
"""Findings per vehicle-hour that are allowed: of high or critical severity, of any."""
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DRIVING_STEP: Final = timedelta(seconds=60)
_DRAWN: Final = ["speed", "engine_rpm", "throttle_position", "coolant_temp", "fuel_level",
                 "gps_lat", "gps_lon", "accel_x", "accel_y"]  # fmt: skip


def main(folder: str | None = None) -> None:
    """Prints findings per vehicle-hour by rule and severity, against what is allowed."""
    telemetry = real_telemetry()
    if telemetry.is_empty():
        Console().print("The real trips are not there.")
        return
    known = real_vehicles()
    started = time.perf_counter()
    found = real_findings(telemetry, known)
    took = time.perf_counter() - started
    hours = vehicle_hours(telemetry)
    total = float(hours["hours"].sum())
    table = Table(
        "type", "rule", "severity", "findings", "per vehicle-hour", "vehicles",
        title=f"{total:,.1f} vehicle-hours of {hours.height} healthy cars, "
        f"{telemetry.height / took:,.0f} rows/s",
    )  # fmt: skip
    by_rule = found.group_by("anomaly_type", "condition", "rule_id", "severity").agg(
        pl.len(), pl.col("vehicle_id").unique().sort().str.join(" ")
    )
    for kind, condition, _, severity, count, who in by_rule.sort(
        "anomaly_type", "rule_id", "condition"
    ).iter_rows():
        table.add_row(kind, condition, severity, f"{count:,}", f"{count / total:.3f}", who)
    Console(width=120).print(table)
    health = found.filter(pl.col("anomaly_type").is_in(HEALTH_TYPES))
    told = health.filter(~pl.col("condition").str.starts_with("R34"))
    grave = told.filter(pl.col("severity").is_in(["high", "critical"])).height
    for name, count, most in (
        ("high or critical", grave, MOST_GRAVE),
        ("any severity", told.height, MOST_OF_ANY),
    ):
        verdict = "met" if count / total < most else "NOT met"
        Console(width=120).print(
            f"mechanical, GPS and sensor types, {name}: {count} in {total:,.1f} vehicle-hours; "
            f"allowed fewer than 1 in {1 / most:g}: {verdict}"
        )
    Console().print(f"recorded nulls, which are true: {health.height - told.height}")
    if folder:
        _draw(telemetry, health, Path(folder))


def real_telemetry() -> pl.DataFrame:
    """The real trips as rows of `telemetry`, in order of vehicle and time; empty without them."""
    return telemetry_of(real_messages(1_000_000))


def telemetry_of(messages: list[bytes]) -> pl.DataFrame:
    """Messages as rows of `telemetry`, in order of vehicle and time; all vehicles are known."""
    arrived = pl.DataFrame(
        {"value": pl.Series(messages, dtype=pl.Binary)}
    ).with_columns(
        append_time=pl.lit(_LONG_AGO).cast(TIME),
        key=pl.lit(None, dtype=pl.Binary),
    )  # fmt: skip
    count = pl.int_range(pl.len(), dtype=pl.Int64)
    raw = place(arrived, ANY_TIME).with_columns(
        kafka_topic_id=pl.lit("real"),
        kafka_partition=pl.lit(0, dtype=pl.Int32),
        kafka_offset=count,
        offset_start=pl.lit(0, dtype=pl.Int64),
        offset_end=pl.lit(len(messages), dtype=pl.Int64),
        landing_version=pl.lit(1, dtype=pl.Int64),
    )
    rows = raw.select(RAW_TELEMETRY.names).cast(RAW_TELEMETRY.polars_schema)
    vehicles = frozenset(rows["vehicle_id"].unique())
    return step(rows, vehicles).telemetry_added.sort("vehicle_id", "event_time")


def real_vehicles() -> pl.DataFrame:
    """Their attributes: rows of VEHICLE_SCHEMA."""
    given = pl.read_csv(REAL.with_name("real_vehicles.csv")).rename({"id": "vehicle_id"})
    return given.select(
        pl.lit(_LONG_AGO).cast(TIME).alias("valid_from")
        if name == "valid_from"
        else pl.col(name).cast(kind)
        for name, kind in VEHICLE_SCHEMA.items()
    )


def real_findings(
    telemetry: pl.DataFrame, vehicles: pl.DataFrame, catalogue: Catalogue | None = None
) -> pl.DataFrame:
    """Findings of the rules that look at samples and at trips."""
    catalogue = catalogue or read_catalogue()
    samples = samples_of(telemetry, WANTED)
    steps = telemetry.select(
        "vehicle_id", step=pl.col("event_time").diff().over("vehicle_id").dt.total_microseconds()
    )
    usual = steps.group_by("vehicle_id").agg(pl.col("step").median() / 1e6)
    known = InForce(vehicles, interval_s=dict(usual.iter_rows()))
    found = findings_of(
        pieces_of(samples, resolve(catalogue, samples, known), DETECTORS), catalogue
    )
    trips = stitch_trips(trip_pieces(telemetry, trip_limits()), trip_limits())
    driven = trips.filter(pl.col("trip_kind") == "motion").with_columns(state=pl.lit("closed"))
    return pl.concat([found, trip_findings(driven, catalogue).drop("limit")])


def vehicle_hours(telemetry: pl.DataFrame) -> pl.DataFrame:
    """Hours that each vehicle was heard, without silences of more than a minute."""
    return (
        telemetry.select(
            "vehicle_id", step=pl.col("event_time").diff().over("vehicle_id")
        )
        .filter(pl.col("step") <= _DRIVING_STEP)
        .group_by("vehicle_id")
        .agg(hours=pl.col("step").sum().dt.total_microseconds() / 3.6e9)
        .sort("vehicle_id")
    )  # fmt: skip


def _draw(telemetry: pl.DataFrame, found: pl.DataFrame, folder: Path) -> None:
    """A picture for each finding: the signals from a minute before it to a minute after it."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    around = timedelta(seconds=60)
    told = found.select("vehicle_id", "condition", "rule_id", "started_at", "ended_at", "peak")
    for vehicle, condition, rule, start, end, peak in told.iter_rows():
        rows = telemetry.filter(
            (pl.col("vehicle_id") == vehicle)
            & pl.col("event_time").is_between(start - around, end + around)
        )
        shown = [name for name in _DRAWN if rows[name].null_count() < rows.height]
        figure, axes = plt.subplots(
            len(shown), 1, sharex=True, squeeze=False, figsize=(9, 1.4 * len(shown))
        )
        for axis, name in zip(axes[:, 0], shown, strict=True):
            axis.plot(rows["event_time"], rows[name].cast(pl.Float64), ".-", markersize=3)
            axis.axvspan(start, end, color="orange", alpha=0.4)
            axis.set_ylabel(name, fontsize=7)
        figure.suptitle(f"{rule} {condition} {vehicle} peak {peak or 0:.4g}", fontsize=9)
        name = f"{condition.replace('/', '-')}_{vehicle}_{start:%Y%m%dT%H%M%S}.png"
        figure.savefig(folder / name, dpi=70)
        plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:2])
