"""Harsh braking, acceleration and cornering (R05–R14).

At 1 Hz a manoeuvre has to last: two samples in a row have to show it.
"""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from typing import Any, Final

from drives import ABSENT, MPS, NULL, Drive, G

from stories.story import DRIVING, Act, Case, Story

RATES: Final = (1.0, 5.0, 51.0)
MORE_RATES: Final = (1.0, 2.0, 5.0, 10.0, 51.0)
NOISE: Final = {"engine_rpm": 12.0, "speed": 0.1, "accel_x": 0.2, "accel_y": 0.2, "accel_z": 0.2}


def at_45(trip: Drive) -> Drive:
    trip.phase(120).phase(1, **DRIVING).travel(20, (0, 45))
    return trip.phase(1, accel_x=0.0).travel(30, 45)


def without_accelerometer(trip: Drive) -> Drive:
    trip.phase(120, accel_x=ABSENT, accel_y=ABSENT, accel_z=ABSENT).phase(1, **DRIVING)
    return trip.travel(20, (0, 45)).travel(30, 45)


def change(g: float, seconds: float = 3.0) -> Act:
    """Brakes or speeds up; wheels and accelerometer agree."""

    def act(trip: Drive) -> Drive:
        speed = trip.signals["speed"]
        assert isinstance(speed, float)
        trip.travel(seconds, (speed, max(speed + g * G * MPS * seconds, 0.0)))
        return trip.phase(8, **({} if trip.signals["accel_x"] is ABSENT else {"accel_x": 0.0}))

    return act


def corner(g: float, seconds: float = 4.0) -> Act:
    return lambda d: d.phase(seconds, accel_y=g * G).phase(8, accel_y=0.0)


def shock(g: float, seconds: float) -> Act:
    """The accelerometer alone."""
    return lambda d: d.phase(seconds, accel_x=-g * G).phase(8, accel_x=0.0)


def untold(act: Act, how: str | None = NULL) -> Act:
    """While it happens no sensor says anything."""

    def hidden(trip: Drive) -> Drive:
        begin = trip.seconds
        shadow = Drive(trip.rate_hz, signals=dict(trip.signals))
        act(shadow)
        trip.phase(shadow.seconds, speed=how, accel_x=how, accel_y=how)
        assert trip.seconds > begin
        return trip.phase(10, speed=shadow.signals["speed"], accel_x=0.0, accel_y=0.0)

    return hidden


def silent(act: Act) -> Act:
    """While it happens nothing is sent, for ten seconds in all."""

    def hidden(trip: Drive) -> Drive:
        shadow = Drive(trip.rate_hz, signals=dict(trip.signals))
        act(shadow)
        return trip.gap(10).phase(10, speed=shadow.signals["speed"])

    return hidden


def again(times: int, act: Act, pause_s: float, between: Act | None = None) -> Act:
    """The same, back to 45 mph, and so on."""

    def repeated(trip: Drive) -> Drive:
        for _ in range(times):
            act(trip)
            speed = trip.signals["speed"]
            if isinstance(speed, float) and speed != 45:
                trip.travel(30, (speed, 45)).phase(1, accel_x=0.0)
            (between or (lambda d: d))(trip.travel(pause_s, 45))
        return trip

    return repeated


def story(rule: str, case: Case, says: str, act: Act, *finds: str, **more: Any) -> Story:
    rates = MORE_RATES if case == "positive" else RATES
    usual: dict[str, Any] = {"before": at_45, "noise": NOISE, "rates": rates}
    return Story(rule, case, says, act, finds, **(usual | more))


TRUCK, VAN = {"vehicle_type": "truck"}, {"vehicle_type": "van"}
BRAKE, SPEED_UP, TURN = change(-0.54), change(0.48), corner(0.52)

STORIES: Final = [
    story("R05", "positive", "brakes for a child", change(-0.54), "R05"),
    story("R05", "positive", "a truck has less", change(-0.43), "R05", who=TRUCK),
    story("R05", "positive", "no accelerometer", change(-0.54, 3.6), "R05", before=without_accelerometer, rates=(1.0, 10.0)),
    story("R05", "near miss", "brakes firmly", change(-0.41)),
    story("R05", "near miss", "a pothole", shock(4.0, 0.04), rates=(10.0, 51.0), slow=False),
    story("R05", "near miss", "a bump at one message a second", shock(4.0, 1.0), rates=(1.0,)),
    story("R05", "unknown", "all sensors are null", untold(BRAKE)),
    story("R05", "unknown", "no sensor is named", untold(BRAKE, ABSENT)),
    story("R05", "gap", "silent while it brakes", silent(BRAKE)),

    story("R06", "positive", "stands on the brake", change(-0.72, 2.4), "R06"),
    story("R06", "positive", "a van", change(-0.66, 2.6), "R06", who=VAN),
    story("R06", "near miss", "harshly, but not that much", change(-0.53), "R05"),
    story("R06", "unknown", "all sensors are null", untold(change(-0.72, 2.4))),
    story("R06", "gap", "silent while it brakes", silent(change(-0.72, 2.4))),

    story("R07", "positive", "runs into a wall", change(-1.5, 1.35), "R07"),
    story("R07", "near miss", "an emergency stop", change(-0.85, 2.2), "R06"),
    story("R07", "near miss", "somebody hits the device", shock(2.0, 1.0), "R06", rates=(10.0, 51.0), slow=False),
    story("R07", "unknown", "all sensors are null", untold(change(-1.5, 1.35))),
    story("R07", "unknown", "the wheels say nothing", lambda d: d.phase(1.4, accel_x=-1.5 * G, speed=NULL).phase(10, accel_x=0.0, speed=0.0), "R06", rates=(10.0, 51.0), slow=False),
    story("R07", "gap", "silent while it crashes", silent(change(-1.5, 1.35))),

    story("R08", "positive", "brakes hard at each light", again(3, BRAKE, 60), "R08", "R05", "R05", "R05"),
    story("R08", "near miss", "twice", again(2, BRAKE, 60), "R05", "R05"),
    story("R08", "near miss", "three times in a quarter of an hour", again(3, BRAKE, 300), "R05", "R05", "R05"),
    story("R08", "unknown", "nothing is told of the third", lambda d: untold(BRAKE)(again(2, BRAKE, 60)(d)), "R05", "R05"),
    story("R08", "gap", "silent during the third", lambda d: silent(BRAKE)(again(2, BRAKE, 60)(d)), "R05", "R05"),
    story("R08", "gap", "silence between them does not matter", again(3, BRAKE, 20, lambda d: d.gap(120).phase(5)), "R08", "R05", "R05", "R05"),

    story("R09", "positive", "kicks down", change(0.46), "R09"),
    story("R09", "positive", "a truck has less", change(0.34), "R09", who=TRUCK),
    story("R09", "near miss", "speeds up briskly", change(0.34)),
    story("R09", "near miss", "a truck briskly", change(0.24), who=TRUCK),
    story("R09", "unknown", "all sensors are null", untold(SPEED_UP)),
    story("R09", "gap", "silent while it speeds up", silent(SPEED_UP)),

    story("R10", "positive", "races at the lights", change(0.66), "R10"),
    story("R10", "near miss", "kicks down", change(0.47), "R09"),
    story("R10", "unknown", "all sensors are null", untold(change(0.66))),
    story("R10", "gap", "silent while it speeds up", silent(change(0.66))),

    story("R11", "positive", "kicks down again and again", again(3, SPEED_UP, 60), "R11", "R09", "R09", "R09"),
    story("R11", "near miss", "twice", again(2, SPEED_UP, 60), "R09", "R09"),
    story("R11", "near miss", "three times in a quarter of an hour", again(3, SPEED_UP, 300), "R09", "R09", "R09"),
    story("R11", "unknown", "nothing is told of the third", lambda d: untold(SPEED_UP)(again(2, SPEED_UP, 60)(d)), "R09", "R09"),
    story("R11", "gap", "silent during the third", lambda d: silent(SPEED_UP)(again(2, SPEED_UP, 60)(d)), "R09", "R09"),

    story("R12", "positive", "takes the bend too fast", corner(0.52), "R12"),
    story("R12", "positive", "to the right", corner(-0.52), "R12"),
    story("R12", "near miss", "briskly", corner(0.39)),
    story("R12", "near miss", "banks for a moment", corner(0.7, 0.3), rates=(10.0, 51.0), slow=False),
    story("R12", "unknown", "all sensors are null", untold(TURN)),
    story("R12", "gap", "silent in the bend", silent(TURN)),

    story("R13", "positive", "a laden truck leans over", corner(0.52), "R13", who=TRUCK),
    story("R13", "positive", "a van", corner(0.62), "R13", who=VAN),
    story("R13", "near miss", "harshly, but upright", corner(0.39), "R12", who=TRUCK),
    story("R13", "near miss", "a sedan does not tip over", corner(0.75), "R12"),
    story("R13", "unknown", "all sensors are null", untold(corner(0.52)), who=TRUCK),
    story("R13", "gap", "silent in the bend", silent(corner(0.52)), who=TRUCK),

    story("R14", "positive", "a mountain road", again(3, TURN, 60), "R14", "R12", "R12", "R12"),
    story("R14", "near miss", "twice", again(2, TURN, 60), "R12", "R12"),
    story("R14", "near miss", "three times in a quarter of an hour", again(3, TURN, 360), "R12", "R12", "R12"),
    story("R14", "unknown", "nothing is told of the third", lambda d: untold(TURN)(again(2, TURN, 60)(d)), "R12", "R12"),
    story("R14", "gap", "silent during the third", lambda d: silent(TURN)(again(2, TURN, 60)(d)), "R12", "R12"),
]  # fmt: skip
