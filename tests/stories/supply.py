"""Fuel (R26, R27) and the battery (R38–R40): states, which survive silence."""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from typing import Final

from drives import ABSENT, NULL, Drive

from stories.story import Story, on_the_road

HOUR, DAY = 3600.0, 86_400.0


def parked(trip: Drive) -> Drive:
    """Stops and switches the engine off; the battery rests."""
    trip.travel(20, (40, 0)).phase(5, accel_x=0.0, engine_rpm=800.0)
    return trip.phase(30, engine_rpm=0.0, battery_voltage=12.6)


def fuel(trip: Drive, *steps: tuple[float, float]) -> Drive:
    """Shows a level for some time each; the last one is a full tank."""
    for seconds, level in steps:
        trip.phase(seconds, fuel_level=level)
    return trip.phase(700, fuel_level=90.0)


STORIES: Final = [
    Story("R26", "positive", "drives on the reserve", lambda d: fuel(d, (1000, 8)), ("R26",)),
    Story("R26", "positive", "sloshes about the limit, all in all below it",
          lambda d: fuel(d, *((20.0, level) for level in (7, 12, 8, 11.5, 9) * 12)), ("R26",), slow=False),
    Story("R26", "positive", "exactly 10 %", lambda d: fuel(d, (1000, 10)), ("R26",)),
    Story("R26", "near miss", "11 %", lambda d: fuel(d, (1000, 11))),
    Story("R26", "near miss", "sloshes for two minutes in a bend", lambda d: fuel(d, (600, 20), (120, 7), (600, 20))),
    Story("R26", "unknown", "the sender is null", lambda d: fuel(d.phase(1000, fuel_level=NULL))),
    Story("R26", "unknown", "low for a minute between nulls", lambda d: fuel(d.phase(300, fuel_level=NULL).phase(60, fuel_level=8.0).phase(300, fuel_level=NULL))),
    Story("R26", "gap", "parked for two days on the reserve", lambda d: fuel(d.phase(900, fuel_level=8.0).gap(2 * DAY).phase(900)), ("R26",)),
    Story("R26", "gap", "filled up while nobody was told, and driven empty again",
          lambda d: fuel(d.phase(900, fuel_level=8.0).gap(2 * HOUR).phase(600, fuel_level=90.0).gap(2 * HOUR).phase(900, fuel_level=8.0)), ("R26", "R26")),

    Story("R27", "positive", "nearly dry", lambda d: fuel(d, (600, 8), (1000, 4)), ("R27",)),
    Story("R27", "near miss", "6 %", lambda d: fuel(d, (1000, 6)), ("R26",)),
    Story("R27", "near miss", "4 % for two minutes on a slope", lambda d: fuel(d, (600, 8), (120, 4), (600, 8)), ("R26",)),
    Story("R27", "unknown", "not told when it gets that low", lambda d: fuel(d.phase(600, fuel_level=8.0).phase(900, fuel_level=ABSENT)), ("R26",)),
    Story("R27", "gap", "parked over night", lambda d: fuel(d.phase(900, fuel_level=4.0).gap(10 * HOUR).phase(900)), ("R27",)),

    Story("R38", "positive", "the belt has torn", lambda d: d.phase(120, battery_voltage=12.4), ("R38",), (0, 120)),
    Story("R38", "positive", "24 volts", lambda d: d.phase(5, battery_voltage=28.0).phase(120, battery_voltage=25.0),
          ("R38",), (5, 125), {"nominal_voltage": 24.0}, before=lambda d: on_the_road(d.phase(1, battery_voltage=28.0))),
    Story("R38", "near miss", "exactly 13 volts", lambda d: d.phase(300, battery_voltage=13.0)),
    Story("R38", "near miss", "13.1 volts", lambda d: d.phase(300, battery_voltage=13.1)),
    Story("R38", "near miss", "lamps and fan on for fifty seconds", lambda d: d.phase(50, battery_voltage=12.4)),
    Story("R38", "near miss", "engine off", lambda d: parked(d).phase(300, battery_voltage=12.5).phase(10, engine_rpm=800.0, battery_voltage=14.0)),
    Story("R38", "near miss", "recovers in between", lambda d: d.phase(40, battery_voltage=12.4).phase(10, battery_voltage=13.6).phase(40, battery_voltage=12.4)),
    Story("R38", "unknown", "the engine's speed is not told", lambda d: d.phase(300, battery_voltage=12.4, engine_rpm=ABSENT)),
    Story("R38", "unknown", "null for a while, low before and after",
          lambda d: d.phase(40, battery_voltage=12.4).phase(60, battery_voltage=NULL).phase(40, battery_voltage=12.4), ("R38",), (0, 140)),
    Story("R38", "gap", "silent, and low before and after", lambda d: d.phase(40, battery_voltage=12.4).gap(HOUR).phase(40), ("R38",), (0, 3680)),

    Story("R39", "positive", "the regulator is gone", lambda d: d.phase(60, battery_voltage=15.8), ("R39",), (0, 60)),
    Story("R39", "near miss", "15.1 volts in the cold", lambda d: d.phase(300, battery_voltage=15.1)),
    Story("R39", "near miss", "a peak of twenty seconds", lambda d: d.phase(20, battery_voltage=15.8)),
    Story("R39", "unknown", "the sensor fails", lambda d: d.phase(20, battery_voltage=15.8).phase(60, battery_voltage=NULL)),
    Story("R39", "gap", "silent, and over before and after", lambda d: d.phase(20, battery_voltage=15.8).gap(600).phase(20), ("R39",), (0, 640)),

    Story("R40", "positive", "the lights were left on", lambda d: parked(d).phase(600, battery_voltage=11.5), ("R40",), (55, 655)),
    Story("R40", "positive", "known by the ignition", lambda d: parked(d).phase(600, battery_voltage=11.5, engine_rpm=ABSENT, ignition=0.0), ("R40",)),
    Story("R40", "near miss", "12 volts", lambda d: parked(d).phase(900, battery_voltage=12.0)),
    Story("R40", "near miss", "cranks in the cold", lambda d: parked(d).phase(10, battery_voltage=9.5).phase(20, engine_rpm=900.0, battery_voltage=13.9)),
    Story("R40", "near miss", "low, but the engine runs", lambda d: d.phase(600, battery_voltage=11.5)),
    Story("R40", "near miss", "four minutes", lambda d: parked(d).phase(240, battery_voltage=11.5).phase(60, battery_voltage=12.6)),
    Story("R40", "unknown", "nobody knows if the engine is off", lambda d: parked(d).phase(900, battery_voltage=11.5, engine_rpm=ABSENT)),
    Story("R40", "gap", "asleep, and flat before and after", lambda d: parked(d).phase(60, battery_voltage=11.5).gap(8 * HOUR).phase(60), ("R40",), (55, 28_975)),
]  # fmt: skip
