"""Over the speed limit (R18–R21) and idling (R15, R16)."""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from typing import Final

from drives import ABSENT, NULL, Drive

from stories.story import Story

HALF_HOUR = 1800


def cruise(trip: Drive, mph: float, seconds: float) -> Drive:
    """Speeds up within half a minute, keeps the speed, and slows down again."""
    return trip.travel(30, (40, mph)).travel(seconds, mph).travel(30, (mph, 40))


def stand(trip: Drive, seconds: float, rpm: float | None = 800.0) -> Drive:
    """Comes to a stop, stands with the engine on, and drives off."""
    trip.travel(20, (40, 0)).phase(seconds, accel_x=0.0, engine_rpm=rpm)
    return trip.travel(20, (0, 40)).phase(5, accel_x=0.0, engine_rpm=2200.0)


def stop(trip: Drive) -> Drive:
    return trip.travel(20, (40, 0)).phase(5, accel_x=0.0, engine_rpm=800.0)


def off(trip: Drive) -> Drive:
    return trip.travel(20, (0, 40)).phase(5, accel_x=0.0, engine_rpm=2200.0)


STORIES: Final = [
    Story("R18", "positive", "late for an appointment", lambda d: cruise(d, 80, 60), ("R18",)),
    Story("R18", "positive", "a van", lambda d: cruise(d, 74, 60), ("R18",), who={"vehicle_type": "van"}),
    Story("R18", "positive", "drops to the limit for a moment",
          lambda d: d.travel(30, (40, 77)).travel(20, 77).travel(5, 74).travel(20, 77).travel(30, (77, 40)), ("R18",)),
    Story("R18", "near miss", "for a second less", lambda d: d.travel(30, 80).travel(10, 60)),
    Story("R18", "near miss", "at the limit", lambda d: cruise(d, 75, 120)),
    Story("R18", "near miss", "overtakes within twenty seconds", lambda d: d.travel(10, (40, 74)).travel(20, 78).travel(10, (72, 40))),
    Story("R18", "near miss", "two short ones with less between", lambda d: d.travel(10, (40, 72)).travel(20, 78).travel(20, 72).travel(20, 78).travel(10, (72, 40))),
    Story("R18", "unknown", "the sensor fails on the motorway", lambda d: d.travel(20, 78).phase(60, speed=NULL).phase(5, speed=60.0)),
    Story("R18", "unknown", "a few messages without it", lambda d: d.travel(20, 78).phase(4, speed=ABSENT).phase(20, speed=78.0).phase(5, speed=60.0), ("R18",), (0, 44)),
    Story("R18", "gap", "no net for a minute", lambda d: d.travel(20, 78).gap(60).travel(20, 78).travel(5, 60)),

    Story("R19", "positive", "90 mph", lambda d: cruise(d, 90, 30), ("R19",)),
    Story("R19", "near miss", "84 mph", lambda d: cruise(d, 84, 60), ("R18",)),
    Story("R19", "near miss", "86 mph for eight seconds", lambda d: d.travel(30, (40, 80)).travel(40, 80).travel(8, 86).travel(5, 80).travel(30, (80, 40)), ("R18",)),
    Story("R19", "unknown", "told for a few seconds only", lambda d: d.travel(40, 80).travel(7, 88).phase(30, speed=ABSENT).phase(5, speed=60.0), ("R18",)),
    Story("R19", "gap", "silent in between", lambda d: d.travel(40, 80).travel(7, 88).gap(40).travel(7, 88).phase(5, speed=60.0), ("R18",)),

    Story("R20", "positive", "105 mph", lambda d: cruise(d, 105, 15), ("R20",)),
    Story("R20", "positive", "a truck", lambda d: cruise(d, 95, 15), ("R20",), who={"vehicle_type": "truck"}),
    Story("R20", "near miss", "99 mph", lambda d: cruise(d, 99, 15), ("R19",)),
    Story("R20", "near miss", "over it for a moment", lambda d: d.travel(30, (40, 90)).travel(15, 90).travel(3, 102).travel(2, 90).travel(30, (90, 40)), ("R19",)),
    Story("R20", "unknown", "the sensor fails at that speed", lambda d: d.travel(20, 90).travel(3, 103).phase(30, speed=NULL).phase(5, speed=60.0), ("R19",)),
    Story("R20", "gap", "silent at that speed", lambda d: d.travel(20, 90).travel(3, 103).gap(30).travel(3, 103).phase(5, speed=60.0), ("R19",)),

    Story("R21", "positive", "six minutes over the limit", lambda d: cruise(d, 78, 360), ("R21",)),
    Story("R21", "near miss", "four minutes", lambda d: cruise(d, 78, 240), ("R18",)),
    Story("R21", "near miss", "slower in between", lambda d: d.travel(30, (40, 78)).travel(200, 78).travel(10, 70).travel(200, 78).travel(30, (78, 40)), ("R18", "R18")),
    Story("R21", "unknown", "not told for a minute", lambda d: d.travel(30, (40, 78)).travel(200, 78).phase(60, speed=ABSENT).phase(200, speed=78.0).travel(30, (78, 40)), ("R18", "R18")),
    Story("R21", "gap", "no net for a minute", lambda d: d.travel(30, (40, 78)).travel(200, 78).gap(60).travel(200, 78).travel(30, (78, 40)), ("R18", "R18")),

    Story("R15", "positive", "waits with the heating on", lambda d: stand(d, 700), ("R15",)),
    Story("R15", "positive", "moves up a car's length now and then",
          lambda d: off(stop(d).phase(300).phase(4, speed=2.0).phase(320, speed=0.0)), ("R15",)),
    Story("R15", "positive", "the engine is known by the ignition only", lambda d: stand(d.phase(5, ignition=1.0), 700, ABSENT), ("R15",)),
    Story("R15", "positive", "a truck", lambda d: stand(d, 1900), ("R15",), who={"vehicle_type": "truck"}),
    Story("R15", "near miss", "rolls at 1 mph", lambda d: off(d.travel(20, (40, 4)).phase(900, speed=1.0, engine_rpm=800.0, accel_x=0.0))),
    Story("R15", "near miss", "nine minutes", lambda d: stand(d, 540)),
    Story("R15", "near miss", "a truck may for 30 minutes", lambda d: stand(d, 1700), who={"vehicle_type": "truck"}),
    Story("R15", "near miss", "stop and go", lambda d: off(stop(d).phase(400).phase(12, speed=5.0).phase(400, speed=0.0))),
    Story("R15", "near miss", "engine off", lambda d: stand(d, 900, 0.0)),
    Story("R15", "exemption", "cools its load", lambda d: stand(d, 900), who={"refrigerated": True}),
    Story("R15", "exemption", "works with its power take-off", lambda d: off(stop(d).phase(900, pto_active=1.0).phase(5, pto_active=0.0))),
    Story("R15", "unknown", "nobody knows if the engine is on", lambda d: stand(d, 900, ABSENT)),
    Story("R15", "unknown", "nobody knows if it stands", lambda d: off(stop(d).phase(900, speed=ABSENT).phase(5, speed=0.0))),
    Story("R15", "gap", "parked for an hour between two short waits", lambda d: off(stop(d).phase(400).gap(3600).phase(400))),

    Story("R16", "positive", "forgot to switch it off", lambda d: stand(d, 3700), ("R16",)),
    Story("R16", "near miss", "fifty minutes", lambda d: stand(d, 3000), ("R15",)),
    Story("R16", "near miss", "engine off", lambda d: stand(d, 3700, 0.0)),
    Story("R16", "exemption", "cools its load", lambda d: stand(d, 3700), who={"refrigerated": True}),
    Story("R16", "exemption", "works with its power take-off", lambda d: off(stop(d).phase(3700, pto_active=1.0).phase(5, pto_active=0.0))),
    Story("R16", "unknown", "speed is lost half-way", lambda d: off(stop(d).phase(2000).phase(60, speed=NULL).phase(2000, speed=0.0)), ("R15", "R15")),
    Story("R16", "gap", "no net for some minutes", lambda d: off(stop(d).phase(2000).gap(400).phase(2000)), ("R15", "R15")),
]  # fmt: skip
