"""An hour of a large fleet's telemetry, batch by batch as the refresh would have written it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fleet_assets.contracts.tables import TELEMETRY
from partitions.hours import hour_start

BATCH_SECONDS = 30


@dataclass(frozen=True)
class FleetHour:
    """Vehicles that send each second, some of it late by anything up to the hour's end.

    Attributes:
        late_share: part of the rows that comes with a later batch, any of them.
    """

    event_hour: str
    vehicles: int
    late_share: float = 0.03
    seed: int = 4

    def batches(self, seconds: int = 3600) -> Iterator[pl.DataFrame]:
        """Rows of `telemetry` in the order of their arrival, sorted within each batch."""
        draw = np.random.default_rng(self.seed)
        count = seconds // BATCH_SECONDS
        waiting: list[list[pl.DataFrame]] = [[] for _ in range(count + 1)]
        for batch in range(count):
            rows = self._rows(batch * BATCH_SECONDS, draw)
            if batch < count - 1:
                late = draw.random(rows.height) < self.late_share
                arrives = np.where(late, draw.integers(batch + 1, count, rows.height), batch)
                marked = rows.with_columns(arrives=pl.Series(arrives))
                for (when,), part in marked.filter(pl.Series(late)).group_by("arrives"):
                    waiting[int(str(when))].append(part.drop("arrives"))
                rows = rows.filter(pl.Series(~late))
            yield pl.concat([rows, *waiting[batch]]).sort("vehicle_id", "event_time")
            waiting[batch] = []

    def _rows(self, from_second: int, draw: np.random.Generator) -> pl.DataFrame:
        size = self.vehicles * BATCH_SECONDS
        vehicle = np.repeat(np.arange(self.vehicles), BATCH_SECONDS)
        second = from_second + np.tile(np.arange(BATCH_SECONDS), self.vehicles)
        phase = vehicle * 37 % 1000  # ms
        wave = np.sin((second + vehicle * 11) / 90)
        speed = np.clip(30 + 32 * wave + draw.normal(0, 0.4, size), 0, 120).round(1)
        numbers = {
            "engine_rpm": (700 + speed * 35 + draw.normal(0, 15, size)).round(0),
            "speed": speed,
            "throttle_position": np.clip(20 + 20 * wave + draw.normal(0, 2, size), 0, 100).round(1),
            "coolant_temp": (88 + draw.normal(0, 0.5, size)).round(0),
            "fuel_level": (70 - second / 900 + draw.normal(0, 0.2, size)).round(1),
            "gps_lat": (40 + vehicle / 1e4 + second / 1e5).round(6),
            "gps_lon": (-90 + vehicle / 1e4 + second / 1e5).round(6),
            "accel_x": draw.normal(0, 0.3, size).round(2),
            "accel_y": draw.normal(0, 0.3, size).round(2),
            "accel_z": (9.8 + draw.normal(0, 0.3, size)).round(2),
            "odometer": (10_000 + vehicle + second / 120).round(1),
        }
        start = int(hour_start(self.event_hour).timestamp() * 1000)
        ids = pl.Series([f"veh-{number:06}" for number in range(self.vehicles)])
        schema = TELEMETRY.polars_schema
        given = pl.DataFrame(
            {
                "vehicle_id": ids.gather(vehicle),
                "event_time": pl.Series((start + second * 1000 + phase) * 1000).cast(
                    schema["event_time"]
                ),
                **{name: pl.Series(values).cast(schema[name]) for name, values in numbers.items()},
            }
        )
        return given.with_columns(
            event_hour=pl.lit(self.event_hour),
            null_signals=pl.lit([], dtype=schema["null_signals"]),
            conflict=pl.lit(False),
            **{
                name: pl.lit(None, dtype=kind)
                for name, kind in schema.items()
                if name not in (*given.columns, "event_hour", "null_signals", "conflict")
            },
        ).select(TELEMETRY.names)
