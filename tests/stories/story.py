"""What happens on the road, and what a rule has to make of it.

Written from the meaning of the rules, not from their detectors. A story begins after some minutes
of ordinary driving and ends with ordinary driving again; it is told at several sampling rates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import polars as pl
from drives import ABSENT, Drive, in_force, vehicle

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.resolve import InForce

Case = Literal["positive", "near miss", "exemption", "unknown", "gap"]
Derived = Literal["hour", "1 Hz", "another rate"]
Act = Callable[[Drive], Drive]
CATALOGUE: Final = read_catalogue()
NOISE: Final = {"engine_rpm": 12.0, "accel_x": 0.05, "accel_y": 0.05, "accel_z": 0.05}
"""Standard deviations of ordinary sensors."""
DRIVING: Final = {"engine_rpm": 2200.0, "throttle_position": 30.0}


def on_the_road(trip: Drive) -> Drive:
    """Stands for two minutes, then drives at 40 mph."""
    trip.phase(120).phase(10, **DRIVING).travel(20, (0, 40))
    return trip.travel(40, 40).phase(10, accel_x=0.0)


def home_again(trip: Drive, volts: float) -> Drive:
    """Two minutes of which there is nothing to tell."""
    quiet: dict[str, Any] = {
        "coolant_temp": 85.0, "battery_voltage": volts, "ignition": ABSENT, "accel_x": 0.0,
        "accel_y": 0.0, "accel_z": 9.81,
    }  # fmt: skip
    trip.signals |= DRIVING | quiet
    return trip.travel(120, 40)


@dataclass(frozen=True)
class Story:
    """One story.

    Attributes:
        rule: the rule that it is about.
        case: what it shows of the rule.
        says: what happens, in words.
        act: lets it happen.
        finds: what the rule and its tiers find, in order of onset: the highest rule that was met,
            or the condition where the rule looks at several signals.
        span: seconds of the story, from and to which the first finding lasts.
        who: attributes of the vehicle, where it is no plain sedan.
        rates: in Hz.
        slow: told at the least rate that the rule claims, too.
        before: what the vehicle does until the story begins.
        noise: standard deviations that differ from NOISE.
    """

    rule: str
    case: Case
    says: str
    act: Act
    finds: tuple[str, ...] = ()
    span: tuple[float, float] | None = None
    who: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = (1.0, 5.0)
    slow: bool = True
    before: Act = on_the_road
    noise: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule} {self.case}: {self.says}"

    @property
    def all_rates(self) -> tuple[float, ...]:
        """Silence and unknown stretches depend on how fast samples come, all else does not."""
        least = CATALOGUE.rule(self.rule).least_rate_hz
        if self.case in ("gap", "unknown") or not self.slow:
            return self.rates
        return tuple(sorted({*self.rates, least}))

    @property
    def cases(self) -> set[Case | Derived]:
        """All that it shows: what is found is found at several rates and at the turn of an hour."""
        shown: set[Case | Derived] = {self.case}
        if self.case == "positive":
            assert self.finds
            shown.add("hour")
            shown |= {"1 Hz" if rate == 1 else "another rate" for rate in self.all_rates}
        return shown

    def drive(self, rate_hz: float) -> tuple[Drive, float, float]:
        """The drive, and the seconds at which the story begins and ends."""
        trip = self.before(Drive(rate_hz, noise=NOISE | dict(self.noise)))
        begin = trip.seconds
        self.act(trip)
        end = trip.seconds
        volts = 14.0 * self.who.get("nominal_voltage", 12) / 12
        return home_again(trip, volts), begin, end

    def known(self, rate_hz: float, **attributes: Any) -> InForce:
        """The vehicle, and how often it usually sends."""
        mine = vehicle(**(dict(self.who) | attributes))
        return InForce(in_force(mine).vehicles, interval_s={"v1": 1 / rate_hz})

    def told(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Of findings, those of its condition."""
        rule = CATALOGUE.rule(self.rule)
        base = pl.col("condition").str.split("/").list.first()
        mine = rows.filter(base.is_in([rule.base_id, rule.repeats or rule.base_id]))
        return mine.sort("started_at", "condition", descending=[False, True])


def names(rows: pl.DataFrame) -> tuple[str, ...]:
    """Findings as `Story.finds` has them."""
    return tuple(
        condition if "/" in condition else rule
        for condition, rule in rows.select("condition", "rule_id").iter_rows()
    )
