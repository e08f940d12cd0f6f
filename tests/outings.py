"""Days of small trips, for rules that look at trips and days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from drives import vehicle
from judging import bring_up
from telemetry_data import land_values, message

from fleet_assets.lake.store import Lake
from fleet_assets.rules.book import RuleBook, releases
from fleet_assets.rules.resolve import VEHICLE_SCHEMA

FIRST = datetime(2026, 2, 1, 4, 50, tzinfo=UTC)
VEHICLES = pl.DataFrame(
    [vehicle("v1", time_zone="America/New_York"), vehicle("v2", time_zone="Asia/Kolkata")],
    schema=VEHICLE_SCHEMA,
)
BOOK = RuleBook(releases(), VEHICLES)


@dataclass(frozen=True)
class Outing:
    """A trip of twelve minutes, and how the vehicle idles after it.

    Attributes:
        day: days after FIRST.
        fuel: percent; None: not sent.
        idle_h: hours.
        codes: trouble codes that it tells.
    """

    day: float
    fuel: float | None = 60.0
    idle_h: float = 0.0
    vehicle_id: str = "v1"
    codes: tuple[str, ...] = ()

    def messages(self) -> list[bytes]:
        """One each 30 s while it drives, one each 50 s while it idles."""
        start = FIRST + timedelta(days=self.day)
        drive = [(s, 30.0) for s in range(0, 720, 30)]
        idle = [(s, 0.0) for s in range(720, 720 + round(self.idle_h * 3600), 50)]
        more: dict[str, Any] = {} if self.fuel is None else {"fuel_level": self.fuel}
        more |= {"dtc": list(self.codes)} if self.codes else {}
        return [
            message(
                self.vehicle_id, (start + timedelta(seconds=second)).isoformat(),
                speed=mph, engine_rpm=900.0, **more,
            )
            for second, mph in [*drive, *idle]
        ]  # fmt: skip


def usual(count: int) -> list[Outing]:
    return [Outing(day, 60.0 - day) for day in range(count)]


@dataclass
class Arriving:
    """A lake that messages come to."""

    lake: Lake
    messages: int = 0

    def take(self, *outings: Outing) -> None:
        """Lands them, and does what the pipeline does."""
        values = [text for outing in outings for text in outing.messages()]
        if values:
            append_time = FIRST + timedelta(days=60)
            land_values(self.lake, values, start=self.messages, append_time=append_time)
            self.messages += len(values)
            bring_up(self.lake, BOOK)
