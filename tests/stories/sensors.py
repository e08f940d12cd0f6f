"""Sensors that fail (R34), are stuck (R35) or jump (R36)."""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from typing import Any, Final

from drives import ABSENT, NULL, Drive

from stories.story import Act, Case, Story

SPEED_NOISE: Final = {"speed": 0.15}


def null(seconds: float, *signals: str) -> Act:
    def act(trip: Drive) -> Drive:
        before = {name: trip.signals[name] for name in signals}
        return trip.phase(seconds, **dict.fromkeys(signals, NULL)).phase(10, **before)

    return act


def stuck(*signals: str, seconds: float = 240, changes: bool = True) -> Act:
    """Signals without the least noise, in traffic or on a lonely road."""

    def act(trip: Drive) -> Drive:
        noise, trip.noise = trip.noise, {k: v for k, v in trip.noise.items() if k not in signals}
        for n in range(int(seconds // 20)):
            if "speed" in signals:
                rpm = (2000.0, 2800.0) if n % 2 else (2800.0, 2000.0)
                trip.phase(20, speed=40.0, engine_rpm=rpm if changes else 2200.0)
            else:
                mph = ((40, 55) if n % 2 else (55, 40)) if changes else 40
                trip.travel(20, mph, accelerometer="accel_x" not in signals)
        trip.noise = noise
        return trip

    return act


def still(trip: Drive, seconds: float, **others: Any) -> Drive:
    """Revolutions without any noise while something else happens."""
    noise, trip.noise = trip.noise, {}
    trip.phase(seconds, **others)
    trip.noise = noise
    return trip


def stands(trip: Drive) -> Drive:
    trip.travel(20, (40, 0)).phase(60, accel_x=0.0, engine_rpm=(800.0, 1800.0))
    return trip.phase(200, engine_rpm=(1800.0, 800.0)).travel(20, (0, 40))


def leap(seconds: float = 10, **to: float) -> Act:
    """To another value at once; not back again within the story, but slowly."""

    def act(trip: Drive) -> Drive:
        back: dict[str, Any] = {
            name: (value, float(trip.signals[name]))  # type: ignore[arg-type]
            for name, value in to.items()
        }
        return trip.phase(seconds, **to).phase(60, **back)

    return act


def story(rule: str, case: Case, says: str, act: Act, *finds: str, **more: Any) -> Story:
    return Story(rule, case, says, act, finds, **({"noise": SPEED_NOISE} | more))


AXES: Final = ("accel_x", "accel_y", "accel_z")
STORIES: Final = [
    story("R34", "positive", "the coolant sensor has come off", null(30, "coolant_temp"), "R34/coolant_temp"),
    story("R34", "positive", "two at once are two", null(30, "fuel_level", "engine_rpm"), "R34/fuel_level", "R34/engine_rpm"),
    story("R34", "near miss", "a loose contact for eight seconds", null(8, "coolant_temp"), slow=False),
    story("R34", "near miss", "eight seconds twice", lambda d: null(8, "coolant_temp")(null(8, "coolant_temp")(d)), slow=False),
    story("R34", "near miss", "not fitted", lambda d: d.phase(120, coolant_temp=ABSENT)),
    story("R34", "unknown", "not named between two short nulls", lambda d: d.phase(8, coolant_temp=NULL).phase(30, coolant_temp=ABSENT).phase(8, coolant_temp=NULL)),
    story("R34", "unknown", "not named for three seconds of it", lambda d: d.phase(8, coolant_temp=NULL).phase(3, coolant_temp=ABSENT).phase(8, coolant_temp=NULL), "R34/coolant_temp"),
    story("R34", "gap", "silent between two short nulls", lambda d: d.phase(8, coolant_temp=NULL).gap(60).phase(8)),

    story("R35", "positive", "revolutions frozen in traffic", stuck("engine_rpm"), "R35/engine_rpm"),
    story("R35", "positive", "speed frozen while the engine works", stuck("speed"), "R35/speed"),
    story("R35", "positive", "the accelerometer hangs", stuck(*AXES), "R35/accelerometer"),
    story("R35", "near miss", "a lonely road", stuck("engine_rpm", changes=False)),
    story("R35", "near miss", "cruise control", stuck("speed", changes=False)),
    story("R35", "near miss", "for a minute and a half", stuck("engine_rpm", seconds=100)),
    story("R35", "near miss", "one axis only", stuck("accel_y")),
    story("R35", "near miss", "fuel and coolant do not move anyway", stuck("fuel_level", "coolant_temp")),
    story("R35", "near miss", "revs while it stands with speed 0", stands, noise={}),
    story("R35", "unknown", "not told at all", lambda d: stuck("engine_rpm")(d.phase(5, engine_rpm=ABSENT))),
    story("R35", "unknown", "what goes with it is not told", lambda d: still(d, 240, speed=ABSENT)),
    story("R35", "gap", "silent in the middle of it", lambda d: stuck("engine_rpm", seconds=80)(stuck("engine_rpm", seconds=80)(d).gap(90))),

    story("R36", "positive", "revolutions leap", leap(engine_rpm=9000.0), "R36/engine_rpm", slow=False),
    story("R36", "positive", "coolant leaps", leap(coolant_temp=145.0), "R36/coolant_temp"),
    story("R36", "positive", "speed leaps", leap(speed=95.0), "R36/speed", slow=False),
    story("R36", "near miss", "a shift of gear", leap(engine_rpm=5500.0)),
    story("R36", "near miss", "coolant by nine degrees", leap(coolant_temp=94.0)),
    story("R36", "near miss", "speed by 25 mph", leap(speed=65.0)),
    story("R36", "near miss", "a kick on the throttle", leap(throttle_position=100.0)),
    story("R36", "near miss", "fuel sloshes", leap(fuel_level=5.0)),
    story("R36", "unknown", "null in between", lambda d: d.phase(2, coolant_temp=NULL).phase(120, coolant_temp=(40.0, 85.0))),
    story("R36", "gap", "cooled down while it was parked", lambda d: d.gap(3600).phase(60, coolant_temp=20.0).phase(300, coolant_temp=(20.0, 85.0))),
    story("R36", "gap", "many seconds are lost", lambda d: d.gap(40).phase(20, coolant_temp=60.0).phase(60, coolant_temp=(60.0, 85.0))),
]  # fmt: skip
