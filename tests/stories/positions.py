"""Positions that cannot be (R29–R33)."""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from typing import Any, Final

from drives import ABSENT, MPS, NULL, Drive

from stories.story import DRIVING, NOISE, Act, Case, Story

DEGREE_M: Final = 111_195.0
FIX: Final = {"gps_lon": 1e-6}
"""Receivers never tell the very same position twice while they drive."""


def lat(trip: Drive) -> float:
    found = trip.signals["gps_lat"]
    assert isinstance(found, float)
    return found


def aside(metres: float, seconds: float) -> Act:
    """The position stands so far aside for a while; the vehicle drives on at 40 mph."""

    def act(trip: Drive) -> Drive:
        true = lat(trip)
        beside = true + metres / DEGREE_M
        gone = seconds * 40 / MPS / DEGREE_M
        trip.phase(seconds, gps_lat=(beside, beside + gone))
        trip.phase(0, gps_lat=true + gone)
        return trip.travel(30, 40)

    return act


def glide(mph: float, seconds: float, **others: Any) -> Act:
    """Positions move at a speed of their own, whatever the vehicle does."""

    def act(trip: Drive) -> Drive:
        metres = mph / MPS * seconds
        return trip.phase(seconds, gps_lat=(lat(trip), lat(trip) + metres / DEGREE_M), **others)

    return act


def stops(trip: Drive) -> Drive:
    """Stands still, engine on."""
    trip.phase(120).phase(10, **DRIVING).travel(20, (0, 40)).travel(60, 40).travel(20, (40, 0))
    return trip.phase(60, accel_x=0.0)


def receiver(value: Any, seconds: float, mph: float = 40.0) -> Act:
    """The receiver says this for a while; then it finds where the vehicle has got to."""

    def act(trip: Drive) -> Drive:
        true, lon = lat(trip), trip.signals["gps_lon"]
        noise, trip.noise = trip.noise, {k: v for k, v in trip.noise.items() if k not in FIX}
        trip.phase(seconds, gps_lat=value, gps_lon=value)
        trip.noise = noise
        trip.phase(0, gps_lat=true + seconds * mph / MPS / DEGREE_M, gps_lon=lon)
        return trip.travel(30, trip.signals["speed"])

    return act


def frozen(seconds: float) -> Act:
    """The very same fix, while the vehicle drives on."""

    def act(trip: Drive) -> Drive:
        noise, trip.noise = trip.noise, {k: v for k, v in trip.noise.items() if k not in FIX}
        true = lat(trip)
        trip.phase(seconds)
        trip.noise = noise
        trip.phase(0, gps_lat=true + seconds * 40 / MPS / DEGREE_M)
        return trip.travel(30, 40)

    return act


def no_gps(trip: Drive) -> Drive:
    trip.phase(120, gps_lat=ABSENT, gps_lon=ABSENT).phase(10, **DRIVING)
    return trip.travel(20, (0, 40)).travel(40, 40)


def shakes(trip: Drive) -> Drive:
    """As `stops`, on the bed of a lorry or with a dead wheel sensor: it is moved all the same."""
    trip.noise = NOISE | {"accel_x": 1.5, "accel_y": 1.5}
    return stops(trip)


def story(rule: str, case: Case, says: str, act: Act, *finds: str, **more: Any) -> Story:
    return Story(rule, case, says, act, finds, **({"noise": FIX} | more))


STORIES: Final = [
    story("R29", "positive", "positions at 200 mph", glide(200, 12), "R29"),
    story("R29", "positive", "the sensor leaps to 156 mph and stays there", lambda d: d.travel(15, 40).phase(12, speed=156.0), "R29", before=no_gps),
    story("R29", "positive", "the sensor tells the greatest number it has", lambda d: d.phase(12, speed=158.46).phase(5, speed=40.0), "R29"),
    story("R29", "positive", "a truck at 130 mph", lambda d: d.phase(12, speed=130.0).phase(5, speed=40.0), "R29", who={"vehicle_type": "truck"}),
    story("R29", "near miss", "a race track", lambda d: d.travel(60, (40, 155)).travel(30, 155).travel(60, (155, 40)), before=no_gps),
    story("R29", "near miss", "140 mph told out of nothing", lambda d: d.phase(12, speed=140.0).phase(5, speed=40.0)),
    story("R29", "near miss", "two seconds only", lambda d: d.phase(2, speed=156.0).phase(5, speed=40.0), slow=False),
    story("R29", "unknown", "null between two short leaps", lambda d: d.phase(2, speed=156.0).phase(8, speed=NULL).phase(2, speed=156.0).phase(5, speed=40.0), before=no_gps),
    story("R29", "gap", "silent between two short leaps", lambda d: d.phase(2, speed=156.0).gap(30).phase(2, speed=156.0).phase(5, speed=40.0), before=no_gps),

    story("R30", "positive", "leaps by six miles and back", aside(9000, 120), "R30", "R30"),
    story("R30", "near miss", "400 m aside", aside(400, 20)),
    story("R30", "near miss", "drives for a minute without a fix", receiver(ABSENT, 55)),
    story("R30", "unknown", "null, and far away after it", receiver(NULL, 5, 3000)),
    story("R30", "gap", "no net on a ferry", lambda d: d.gap(1500).phase(0, gps_lat=lat(d) + 0.3).travel(20, 40)),

    story("R31", "positive", "positions at 100 mph, wheels at 40", glide(100, 30), "R31"),
    story("R31", "positive", "wheels slip on ice", lambda d: glide(5, 30, speed=60.0)(d), "R31"),
    story("R31", "near miss", "25 mph apart", glide(65, 30)),
    story("R31", "near miss", "35 mph apart, but less than half", glide(75, 30)),
    story("R31", "near miss", "for eight seconds", glide(100, 8), slow=False),
    story("R31", "unknown", "wheels say nothing", glide(100, 30, speed=ABSENT)),
    story("R31", "unknown", "no positions", lambda d: receiver(NULL, 30)(d)),
    story("R31", "gap", "silent between two short ones", lambda d: glide(100, 7)(glide(100, 7)(d).gap(90))),

    story("R32", "positive", "forged while it stands in the yard", glide(30, 30), "R32", before=stops),
    story("R32", "near miss", "wanders at walking speed", glide(15, 30), before=stops),
    story("R32", "near miss", "is carried off", glide(30, 30), before=shakes),
    story("R32", "near miss", "the wheels turn", glide(30, 30, speed=10.0), before=stops),
    story("R32", "near miss", "for eight seconds", glide(30, 8), before=stops, slow=False),
    story("R32", "unknown", "no accelerometer", glide(30, 30, accel_x=ABSENT, accel_y=ABSENT, accel_z=ABSENT), before=stops),
    story("R32", "unknown", "wheels say nothing", glide(30, 30, speed=NULL), before=stops),
    story("R32", "gap", "silent between two short ones", lambda d: glide(30, 7)(glide(30, 7)(d).gap(90)), before=stops),

    story("R33", "positive", "the receiver tells 0, 0", receiver(0.0, 20), "R33/zero"),
    story("R33", "positive", "the receiver tells the same fix", frozen(100), "R33/same"),
    story("R33", "near miss", "0, 0 for three seconds", receiver(0.0, 3), slow=False),
    story("R33", "near miss", "the same fix for fifty seconds", frozen(50)),
    story("R33", "near miss", "0, 0 while it stands", receiver(0.0, 60, 0.0), before=stops),
    story("R33", "unknown", "nothing in a tunnel", receiver(ABSENT, 90)),
    story("R33", "unknown", "null in a tunnel", receiver(NULL, 90)),
    story("R33", "gap", "silent between two short ones", lambda d: receiver(0.0, 3)(receiver(0.0, 3)(d).gap(60))),
    story("R33", "gap", "silent between the same fix", lambda d: frozen(40)(frozen(40)(d).gap(90))),
]  # fmt: skip
