"""Engine speed (R01–R04) and heat (R22–R25)."""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from typing import Final

from drives import ABSENT, NULL, Drive

from stories.story import Story


def heat(trip: Drive, *steps: tuple[float, float]) -> Drive:
    """Warms up to 100 °C as engines do, then goes to each temperature within some seconds."""
    trip.phase(150, coolant_temp=(85.0, 100.0))
    at = 100.0
    for seconds, to in steps:
        trip.phase(seconds, coolant_temp=(at, to))
        at = to
    return trip


def cool(trip: Drive) -> Drive:
    return trip.phase(300, coolant_temp=(float(trip.signals["coolant_temp"]), 85.0))  # type: ignore[arg-type]


STORIES: Final = [
    Story("R01", "positive", "pulls up a ramp in second gear",
          lambda d: d.phase(12, engine_rpm=6000.0), ("R01",), (0, 12)),
    Story("R01", "positive", "lifts the foot a little now and then",
          lambda d: d.phase(5, engine_rpm=6000.0).phase(10, engine_rpm=5600.0).phase(5, engine_rpm=5900.0), ("R01",), (0, 20)),
    Story("R01", "positive", "a red line of its own", lambda d: d.phase(12, engine_rpm=5200.0), ("R01",), (0, 12), {"redline_rpm": 5400.0}),
    Story("R01", "near miss", "close to the limit for a minute", lambda d: d.phase(60, engine_rpm=5740.0)),
    Story("R01", "near miss", "over it for four seconds", lambda d: d.phase(4, engine_rpm=6000.0)),
    Story("R01", "near miss", "twice four seconds with a shift of gear between",
          lambda d: d.phase(4, engine_rpm=6000.0).phase(4, engine_rpm=5300.0).phase(4, engine_rpm=6000.0)),
    Story("R01", "near miss", "a truck's limit is higher", lambda d: d.phase(30, engine_rpm=6300.0), who={"vehicle_type": "truck"}),
    Story("R01", "unknown", "the sensor is not told for two seconds in between",
          lambda d: d.phase(3, engine_rpm=6000.0).phase(2, engine_rpm=ABSENT).phase(3, engine_rpm=6000.0), ("R01",), (0, 8)),
    Story("R01", "unknown", "the sensor fails for good", lambda d: d.phase(4, engine_rpm=6000.0).phase(30, engine_rpm=NULL)),
    Story("R01", "gap", "a tunnel between two pulls of four seconds",
          lambda d: d.phase(4, engine_rpm=6000.0).gap(20).phase(4, engine_rpm=6000.0)),
    Story("R01", "gap", "two messages are lost", lambda d: d.phase(4, engine_rpm=6000.0).gap(3).phase(4, engine_rpm=6000.0), ("R01",), (0, 11)),

    Story("R02", "positive", "a missed gear", lambda d: d.phase(10, engine_rpm=6600.0), ("R02",), (0, 10)),
    Story("R02", "positive", "goes on over the lower limit", lambda d: d.phase(20, engine_rpm=6000.0).phase(10, engine_rpm=6600.0), ("R02",), (0, 30)),
    Story("R02", "near miss", "over its limit, but not by 8 %", lambda d: d.phase(10, engine_rpm=6200.0), ("R01",)),
    Story("R02", "near miss", "that far for two seconds", lambda d: d.phase(2, engine_rpm=6600.0)),
    Story("R02", "unknown", "the sensor is null while it would show", lambda d: d.phase(2, engine_rpm=6600.0).phase(8, engine_rpm=NULL)),
    Story("R02", "gap", "silence while it would show", lambda d: d.phase(2, engine_rpm=6600.0).gap(30).phase(2, engine_rpm=6600.0)),

    Story("R03", "positive", "off in a hurry on a cold morning",
          lambda d: d.phase(5, coolant_temp=20.0).phase(20, engine_rpm=3900.0), ("R03",), (5, 25)),
    Story("R03", "positive", "until the engine is warm",
          lambda d: d.phase(5, coolant_temp=40.0).phase(60, engine_rpm=3900.0, coolant_temp=(40.0, 60.0)), ("R03",), (5, 35)),
    Story("R03", "near miss", "warm", lambda d: d.phase(20, engine_rpm=3900.0, coolant_temp=52.0)),
    Story("R03", "near miss", "gently", lambda d: d.phase(60, engine_rpm=3400.0, coolant_temp=20.0)),
    Story("R03", "near miss", "for nine seconds", lambda d: d.phase(5, coolant_temp=20.0).phase(9, engine_rpm=3900.0)),
    Story("R03", "unknown", "nobody knows how cold", lambda d: d.phase(20, engine_rpm=3900.0, coolant_temp=ABSENT)),
    Story("R03", "gap", "a silence between two short pulls",
          lambda d: d.phase(5, coolant_temp=20.0).phase(6, engine_rpm=3900.0).gap(20).phase(6, engine_rpm=3900.0)),

    Story("R04", "positive", "revs at the lights", lambda d: d.phase(5, speed=0.0, engine_rpm=800.0).phase(12, engine_rpm=4500.0), ("R04",), (5, 17)),
    Story("R04", "near miss", "rolls", lambda d: d.phase(12, speed=2.0, engine_rpm=4500.0)),
    Story("R04", "near miss", "not that high", lambda d: d.phase(30, speed=0.0, engine_rpm=3900.0)),
    Story("R04", "near miss", "for four seconds", lambda d: d.phase(5, speed=0.0, engine_rpm=800.0).phase(4, engine_rpm=4500.0).phase(5, engine_rpm=800.0)),
    Story("R04", "unknown", "nobody knows if it stands", lambda d: d.phase(20, speed=ABSENT, engine_rpm=4500.0)),
    Story("R04", "gap", "silent in between",
          lambda d: d.phase(5, speed=0.0, engine_rpm=800.0).phase(4, engine_rpm=4500.0).gap(20).phase(4, engine_rpm=4500.0)),

    Story("R22", "positive", "the fan has failed", lambda d: cool(heat(d, (120, 109), (30, 112), (30, 112))), ("R22",), (280, 408)),
    Story("R22", "positive", "exactly 110 °C", lambda d: cool(heat(d, (120, 109)).phase(30, coolant_temp=110.0).phase(5, coolant_temp=104.0)), ("R22",), (270, 300)),
    Story("R22", "near miss", "109 °C on a hill", lambda d: cool(heat(d, (120, 109), (200, 109)))),
    Story("R22", "near miss", "110 °C for a moment", lambda d: cool(heat(d, (120, 109), (4, 110.5), (6, 104), (60, 100)))),
    Story("R22", "unknown", "the sensor gives up when it gets hot",
          lambda d: cool(heat(d, (120, 109), (5, 110.5)).phase(120, coolant_temp=NULL).phase(30, coolant_temp=95.0))),
    Story("R22", "gap", "silent while it boils", lambda d: cool(heat(d, (120, 109), (5, 111)).gap(90).phase(5, coolant_temp=111.0).phase(60, coolant_temp=(104.0, 95.0)))),

    Story("R23", "positive", "the coolant is gone", lambda d: cool(heat(d, (120, 117), (20, 120), (20, 120))), ("R23",)),
    Story("R23", "near miss", "117 °C", lambda d: cool(heat(d, (120, 117), (60, 117))), ("R22",)),
    Story("R23", "near miss", "118 °C for two seconds", lambda d: cool(heat(d, (120, 117)).phase(2, coolant_temp=118.5).phase(1, coolant_temp=112.0)), ("R22",)),
    Story("R23", "unknown", "not told above 118 °C", lambda d: cool(heat(d, (120, 117.5)).phase(30, coolant_temp=NULL).phase(1, coolant_temp=112.0)), ("R22", "R22")),
    Story("R23", "gap", "silent above 118 °C",
          lambda d: cool(heat(d, (120, 117.5)).phase(2, coolant_temp=119.0).gap(40).phase(2, coolant_temp=119.0).phase(30, coolant_temp=100.0)), ("R22",)),

    Story("R24", "positive", "a long climb", lambda d: cool(heat(d, (60, 104.5), (340, 106.5))), ("R24",)),
    Story("R24", "positive", "cools off a little in between", lambda d: cool(heat(d, (60, 106), (150, 106), (10, 103), (10, 106), (160, 106))), ("R24",)),
    Story("R24", "near miss", "104 °C for as long as one likes", lambda d: cool(heat(d, (60, 104), (600, 104)))),
    Story("R24", "near miss", "four minutes", lambda d: heat(d, (60, 104.5), (240, 106)).phase(200, coolant_temp=90.0)),
    Story("R24", "near miss", "cool in between", lambda d: heat(d, (60, 104.5), (200, 106)).phase(10, coolant_temp=101.0).phase(200, coolant_temp=106.0).phase(100, coolant_temp=90.0)),
    Story("R24", "unknown", "not told for two minutes of four",
          lambda d: heat(d, (60, 104.5), (100, 106)).phase(150, coolant_temp=ABSENT).phase(100, coolant_temp=106.0).phase(100, coolant_temp=90.0)),
    Story("R24", "gap", "silent for two minutes of four",
          lambda d: heat(d, (60, 104.5), (100, 106)).gap(150).phase(100, coolant_temp=106.0).phase(100, coolant_temp=90.0)),

    Story("R25", "positive", "a hose bursts", lambda d: cool(d.phase(300, coolant_temp=(85.0, 97.0)).phase(60, coolant_temp=(97.0, 109.0))), ("R25",)),
    Story("R25", "near miss", "warms up quickly", lambda d: d.phase(5, coolant_temp=40.0).phase(120, coolant_temp=(40.0, 95.0))),
    Story("R25", "near miss", "gets hot slowly", lambda d: cool(d.phase(240, coolant_temp=(85.0, 109.0)))),
    Story("R25", "near miss", "7 °C in a minute", lambda d: cool(d.phase(300, coolant_temp=(85.0, 97.0)).phase(60, coolant_temp=(97.0, 103.9)).phase(60))),
    Story("R25", "positive", "8 °C in the minute, and no more", lambda d: cool(d.phase(400, coolant_temp=(85.0, 97.0)).phase(60, coolant_temp=(97.0, 105.1)).phase(60)), ("R25",)),
    Story("R25", "unknown", "a loose contact, and 10 °C more after it",
          lambda d: cool(d.phase(300, coolant_temp=(85.0, 97.0)).phase(3, coolant_temp=NULL).phase(60, coolant_temp=107.0))),
    Story("R25", "unknown", "the rise itself is not told",
          lambda d: d.phase(300, coolant_temp=(85.0, 97.0)).phase(120, coolant_temp=ABSENT).phase(60, coolant_temp=106.0)),
    Story("R25", "gap", "parked hot, and hotter after the stop",
          lambda d: d.phase(300, coolant_temp=(85.0, 97.0)).gap(900).phase(60, coolant_temp=106.0)),
]  # fmt: skip
