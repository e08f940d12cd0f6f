"""Tables of trips: their pieces by hour, and the trips."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.columns import EVENT_HOUR, INT, REAL, TEXT, VEHICLE_ID
from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table

TRIP_KINDS: Final = ("motion", "ignition")
KIND: Final = Column(
    "trip_kind",
    TEXT,
    "motion: by speed; ignition: by the key, where that is sent.",
    allowed=TRIP_KINDS,
)
_READINGS: Final = pl.List(pl.Int64())
_SUMS: Final = {
    "gps_um": "Distance by positions.",
    "speed_um": "Distance by speed.",
    "idle_us": "Time standing with the engine running.",
}
_UNITS: Final = {"gps_um": "µm", "speed_um": "µm", "idle_us": "µs"}
_WHERE: Final = ("odometer", "gps_lat", "gps_lon")
_EDGES: Final = {
    "first": "First known {0}.",
    "last": "Last known {0}.",
    "entering": "{0} as known at the first row.",
    "leaving": "{0} as known at the last row.",
}
_IS_PRIVATE: Final = Column(
    "is_private",
    pl.Boolean(),
    "A message says that the trip is private; null: none says anything of it.",
    nullable=True,
)
_NAMES: Final = {"odometer": "odometer reading", "gps_lat": "latitude", "gps_lon": "longitude"}
_PLACE_UNITS: Final = {"odometer": "mi", "gps_lat": "degrees", "gps_lon": "degrees"}

TRIP_SEGMENTS: Final = Table(
    "trip_segments",
    "silver",
    "one stretch of moving or resting of one vehicle within one hour",
    "What trips are made from: an hour of a vehicle, taken by itself, tiled into runs (it moves, or "
    "its ignition is on) and rests. Trips join them over the edges of hours: trips.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        KIND,
        Column("is_run", pl.Boolean(), "A run; false: a rest."),
        Column("started_us", INT, "Time of the first row.", "µs since 1970"),
        Column("ended_us", INT, "Time of the last row.", "µs since 1970"),
        Column("samples", INT, "Samples that say whether it moves.", "messages", minimum=0),
        Column("seen_us", INT, "Sum of the steps between them that are not too long.", "µs", minimum=0),
        Column("is_silent", pl.Boolean(), "One of the steps was too long."),
        Column("is_off", pl.Boolean(), "A sample of it ends any trip."),
        Column("entry_seen_us", INT, "The step that leads to its first row.", "µs", minimum=0),
        Column("entry_is_silent", pl.Boolean(), "That step was too long."),
        *(Column(name, INT, text, _UNITS[name], minimum=0) for name, text in _SUMS.items()),
        *(
            Column(f"entry_{name}", INT, f"{text[:-1]}, of its first row.", _UNITS[name], minimum=0)
            for name, text in _SUMS.items()
        ),
        Column("speed_max", REAL, "Highest speed.", "mph", nullable=True),
        Column("rpm_max", REAL, "Highest engine speed.", "rpm", nullable=True),
        *(
            Column(
                f"{name}_{edge}",
                REAL,
                text.format(_NAMES[name]).capitalize(),
                _PLACE_UNITS[name],
                nullable=True,
            )
            for pair in (("first", "last"), ("entering", "leaving"))
            for edge, text in ((e, _EDGES[e]) for e in pair)
            for name in _WHERE
        ),
        Column("driver_id", TEXT, "First driver that is named.", nullable=True),
        Column("named", INT, "Signals that any of its rows names, a null too: one bit each.", nullable=True, minimum=0),
        Column("fuel_first", _READINGS, "Fuel levels near its beginning: count of the 30 s in which they lie, times a million, plus thousandths of a percent.", nullable=True),
        Column("fuel_last", _READINGS, "The same near its end.", nullable=True),
        Column("slots", INT, "Parts of 30 s whose first row lies in it.", nullable=True, minimum=0),
        Column("fuel_slots", INT, "Parts of 30 s whose first known fuel level lies in it.", nullable=True, minimum=0),
        Column("fuel_rises", _READINGS, "Rises of the fuel level that may be a refuel, from five minutes to the next: packed like the levels.", nullable=True),
        Column("fuel_fall", REAL, "Largest fall of the fuel level from five minutes to the next; negative: it only rises.", "%", nullable=True),
        _IS_PRIVATE,
    ),
    key=("vehicle_id", "trip_kind", "started_us"),
)  # fmt: skip


def _real(name: str, unit: str, description: str) -> Column:
    return Column(name, REAL, description, unit, nullable=True)


TRIPS: Final = Table(
    "trips",
    "gold",
    "one trip of one vehicle",
    "Trips by motion (from 5 mph on; ended by 5 minutes below, or by a silence of 5 minutes in which "
    "the vehicle did not travel) and by ignition, under the hour in which they begin. Late data may "
    "join, split or move them.",
    (
        EVENT_HOUR,
        Column("trip_id", TEXT, "Hash of vehicle, kind and onset.", pattern=r"^[0-9a-f]{32}$"),
        VEHICLE_ID,
        KIND,
        Column("started_at", UTC_MICROSECONDS, "First sample of it."),
        Column("ended_at", UTC_MICROSECONDS, "Last sample of it, so far."),
        Column("state", TEXT, "open: nothing has ended it yet.", allowed=("open", "closed")),
        Column("samples", INT, "Samples that say whether it moves.", "messages", minimum=1),
        _real("gps_miles", "mi", "Distance by positions; steps under 5 m at rest do not count."),
        _real("speed_miles", "mi", "Distance by speed, integrated."),
        _real("odometer_miles", "mi", "Distance by the odometer, where it is fitted."),
        _real("idle_seconds", "s", "Time standing with the engine running."),
        _real("speed_max_mph", "mph", "Highest speed."),
        _real("rpm_max", "rpm", "Highest engine speed."),
        _real("start_lat", "degrees", "Latitude of the first known position."),
        _real("start_lon", "degrees", "Longitude of the first known position."),
        _real("end_lat", "degrees", "Latitude of the last known position."),
        _real("end_lon", "degrees", "Longitude of the last known position."),
        Column("driver_id", TEXT, "First driver that is named.", nullable=True),
        Column("signals", TEXT, "Signals that its messages name, a null too, with commas between.", nullable=True),
        _real("fuel_start_percent", "%", "Fuel level at its beginning: median of one reading each 30 s of five minutes."),
        _real("fuel_end_percent", "%", "Fuel level at its end, likewise."),
        _real("fuel_noise_percent", "%", "Spread of these readings about their medians, as a standard deviation."),
        _IS_PRIVATE,
        Column("fuel_coverage", REAL, "Share of the 30 s parts with messages in which the fuel level is known.", nullable=True, minimum=0, maximum=1),
        _real("refuelled_percent", "%", "Rises of the fuel level within it, from five minutes to the next, each of 8 %, 4 times the noise and the largest fall or more."),
        _real("fuel_used_percent", "%", "Fall of the fuel level from beginning to end, with refuels added; null if under 3 times the noise, or if the coverage is under 0.8."),
    ),
    key=("trip_id",),
)  # fmt: skip

TRIP_TABLES: Final = (TRIP_SEGMENTS, TRIPS)
