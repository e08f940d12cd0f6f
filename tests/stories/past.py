"""Rules that look at days and trips (R17, R28, R37, R41, R42), which have no sampling rate."""

# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
from drives import vehicle

from fleet_assets.anomalies.from_history import not_exempt
from fleet_assets.rules.catalogue import Rule, read_catalogue
from fleet_assets.rules.history import (
    CODE_TRIP_SCHEMA,
    FUEL_TRIP_SCHEMA,
    IDLE_DAY_SCHEMA,
    SIGNAL_TRIP_SCHEMA,
    fuel_losses,
    idle_days,
    lost_signals,
    new_codes,
    recurring_codes,
)
from fleet_assets.rules.resolve import VEHICLE_SCHEMA

DAY: Final = datetime(2026, 2, 1, 6, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
JUDGES: Final[Mapping[str, Callable[[pl.DataFrame, Rule], pl.DataFrame]]] = {
    "R17": idle_days, "R28": fuel_losses, "R37": lost_signals, "R41": new_codes, "R42": recurring_codes,
}  # fmt: skip
Trip = tuple[float, float, list[str] | None]
FuelTrip = tuple[Any, ...]
"""Day, fuel at the start and at the end (%), noise, and the minutes of a trip that goes on."""


@dataclass(frozen=True)
class Past:
    """A story of days.

    Attributes:
        rule: the rule.
        case: what it shows of it.
        says: what happens.
        summaries: what the rule looks at.
        finds: days since DAY at which findings begin.
        who: what is special about the vehicle.
    """

    rule: str
    case: str
    says: str
    summaries: pl.DataFrame
    finds: tuple[int, ...] = ()
    who: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule} {self.case}: {self.says}"

    def found(self) -> tuple[int, ...]:
        """Days at which findings begin."""
        catalogue = read_catalogue()
        vehicles = pl.DataFrame([vehicle(**self.who)], schema=VEHICLE_SCHEMA)
        rows = JUDGES[self.rule](self.summaries, catalogue.rule(self.rule))
        rows = not_exempt(rows, catalogue, vehicles)
        return tuple((start - DAY).days for start in rows["started_at"])


def days(*given: tuple[float, float | None, float | None], begins_h: float = -6) -> pl.DataFrame:
    """Local days: hours that they have, that the vehicle idled and that its engine ran."""
    rows = []
    start = DAY + timedelta(hours=begins_h)
    for hours, *times in given:
        end = start + timedelta(hours=hours)
        idle_s, running_s = (None if h is None else h * 3600 for h in times)
        rows.append(("v1", start, end, idle_s, running_s))
        start = end
    return pl.DataFrame(rows, schema=IDLE_DAY_SCHEMA, orient="row")


def signal_trips(*given: Trip) -> pl.DataFrame:
    """Trips by day, minutes and signals."""
    rows = [
        ("v1", DAY + timedelta(days=day), DAY + timedelta(days=day, minutes=minutes), signals)
        for day, minutes, signals in given
    ]
    return pl.DataFrame(rows, schema=SIGNAL_TRIP_SCHEMA, orient="row")


def code_trips(*given: tuple[float, list[str] | None], vehicle_id: str = "v1") -> pl.DataFrame:
    """Trips of twenty minutes by day, with the codes that each told; None: it told nothing."""
    rows = []
    for day, codes in given:
        start = DAY + timedelta(days=day)
        seen = {"first_seen": start + MINUTE, "last_seen": start + 19 * MINUTE}
        told = None if codes is None else [{"code": code, **seen} for code in codes]
        rows.append((vehicle_id, start, told))
    return pl.DataFrame(rows, schema=CODE_TRIP_SCHEMA, orient="row")


def fuel_trips(*given: FuelTrip) -> pl.DataFrame:
    """Trips of twenty minutes by day, with the fuel at their ends and how restless it is."""
    rows = []
    for day, start_percent, end_percent, noise, *more in given:
        start = DAY + timedelta(days=day)
        minutes, state = (20, "closed") if not more else (more[0], "open")
        end = start + minutes * MINUTE
        rows.append(("v1", start, end, state, start_percent, end_percent, noise))
    return pl.DataFrame(rows, schema=FUEL_TRIP_SCHEMA, orient="row")


def a_week(*trips: FuelTrip, noise: float = 0.5, wanders: float = 0.0) -> pl.DataFrame:
    """After a week in which each day uses 2 %; over stops the level wanders up and down."""
    level, usual = 90.0, []
    for n in range(7):
        usual.append((n, level, level - 2, noise))
        level -= 2 + wanders * (1 if n % 2 else -1)
    return fuel_trips(*usual, *trips)


def had_fuel(*trips: Trip) -> pl.DataFrame:
    """After three days with a fuel level."""
    usual: list[Trip] = [(n, 20, ["speed", "fuel_level"]) for n in range(3)]
    return signal_trips(*usual, *trips)


WITH, WITHOUT = ["speed", "fuel_level"], ["speed"]
STORIES: Final = [
    Past("R17", "positive", "idles for half of its day", days((24, 4, 8)), (-1,)),
    Past("R17", "near miss", "40 % and no more", days((24, 4, 10))),
    Past("R17", "near miss", "nearly all of a short day", days((24, 1.9, 2))),
    Past("R17", "unknown", "nobody knows how long the engine ran", days((24, 4, None))),
    Past("R17", "unknown", "nobody knows if it stood", days((24, None, 8))),
    Past("R17", "gap", "silent for most of the day: what is known counts", days((24, 2.5, 3)), (-1,)),
    Past("R17", "gap", "not heard at all", days((24, 0, 0))),
    Past("R17", "hour", "idles for three hours over midnight", days((24, 1.5, 2), (24, 1.5, 2))),
    Past("R17", "hour", "the day on which clocks change, in a zone of a half hour", days((23, 4, 8), (24, 4, 8), begins_h=-0.5), (-1, 0)),

    Past("R17", "exemption", "cools its load", days((24, 4, 8)), who={"refrigerated": True}),
    Past("R17", "exemption", "works while it stands", days((24, 4, 8)), who={"has_pto": True}),
    Past("R17", "exemption", "in the workshop", days((24, 4, 8)), who={"status": "maintenance"}),

    Past("R28", "positive", "a fifth of the tank goes overnight", a_week((7, 56, 54, 0.5)), (6,)),
    Past("R28", "positive", "8 % and no less", a_week((7, 68, 66, 0.5)), (6,)),
    Past("R28", "positive", "more than a restless sensor explains", a_week((7, 60, 58, 3.9)), (6,)),
    Past("R28", "near miss", "7.9 %", a_week((7, 68.1, 66, 0.5))),
    Past("R28", "near miss", "a restless sensor explains it", a_week((7, 60, 58, 4.1))),
    Past("R28", "near miss", "its level always wanders over stops", a_week((7, 64, 62, 0.5), wanders=3)),
    Past("R28", "near miss", "refuelled", a_week((7, 99, 97, 0.5))),
    Past("R28", "near miss", "used up while it drove", a_week((7, 76, 40, 0.5), (8, 40, 38, 0.5))),
    Past("R28", "unknown", "no level after the stop", a_week((7, None, 54, 0.5), (8, 54, 52, 0.5))),
    Past("R28", "unknown", "too few stops to know the sensor", fuel_trips((0, 90, 88, 0.5), (1, 60, 58, 0.5))),
    Past("R28", "unknown", "the next trip has only just begun", a_week((7, 56, 54, 0.5, 4))),
    Past("R28", "gap", "parked for three weeks", a_week((27, 56, 54, 0.5)), (6,)),
    Past("R28", "gap", "parked for longer than one looks back", a_week((40, 56, 54, 0.5))),
    Past("R28", "hour", "stands from before midnight until after it", a_week((6.7, 76, 74, 0.5), (6.8, 56, 54, 0.5)), (6,)),

    Past("R37", "positive", "the fuel level comes no more", had_fuel((3, 20, WITHOUT)), (3,)),
    Past("R37", "near miss", "a trip of nine minutes", had_fuel((3, 9, WITHOUT))),
    Past("R37", "near miss", "came on two days only", signal_trips((0, 20, WITH), (1, 20, WITH), (2, 20, WITHOUT))),
    Past("R37", "near miss", "three trips of one day", signal_trips((0, 20, WITH), (0.1, 20, WITH), (0.2, 20, WITH), (1, 20, WITHOUT))),
    Past("R37", "near miss", "came once in the trip", had_fuel((3, 20, WITH))),
    Past("R37", "unknown", "a trip of which no signal is known", had_fuel((3, 20, None), (4, 20, WITH))),
    Past("R37", "positive", "all is lost at once", had_fuel((3, 20, [])), (3, 3)),
    Past("R37", "gap", "parked for three weeks", had_fuel((24, 20, WITHOUT)), (24,)),
    Past("R37", "gap", "parked for longer than one looks back", had_fuel((40, 20, WITHOUT))),
    Past("R37", "hour", "the trip begins before midnight and ends after it", had_fuel((3.74, 40, WITHOUT)), (3,)),

    Past("R41", "positive", "a code that was never there", code_trips((0, []), (1, ["P0420"])), (1,)),
    Past("R41", "positive", "back after five weeks", code_trips((0, ["P0420"]), (1, []), (36, ["P0420"])), (0, 36)),
    Past("R41", "near miss", "back after four weeks", code_trips((0, ["P0420"]), (1, []), (28, ["P0420"])), (0,)),
    Past("R41", "near miss", "stands for weeks", code_trips(*((n, ["P0420"]) for n in range(0, 60, 5))), (0,)),
    Past("R41", "unknown", "trips that tell no codes decide nothing", code_trips((0, ["P0420"]), *((n, None) for n in range(1, 40)), (40, ["P0420"])), (0,)),
    Past("R41", "gap", "parked for six weeks with the code standing", code_trips((0, ["P0420"]), (42, ["P0420"])), (0,)),
    Past("R41", "hour", "shown in a trip over midnight, and in the next", code_trips((0.745, ["P0420"]), (0.8, ["P0420"])), (0,)),

    Past("R42", "positive", "on Monday, Wednesday and Friday", code_trips((0, ["P0301"]), (1, []), (2, ["P0301"]), (4, ["P0301"])), (0,)),
    Past("R42", "near miss", "in two trips", code_trips((0, ["P0301"]), (2, ["P0301"]))),
    Past("R42", "near miss", "three codes in a trip each", code_trips((0, ["P0301"]), (1, ["P0302"]), (2, ["P0303"]))),
    Past("R42", "near miss", "in three trips of eight days", code_trips((0, ["P0301"]), (4, ["P0301"]), (8, ["P0301"]))),
    Past("R42", "unknown", "the third trip tells no codes", code_trips((0, ["P0301"]), (2, ["P0301"]), (4, None))),
    Past("R42", "gap", "silent for four days of the seven", code_trips((0, ["P0301"]), (1, ["P0301"]), (6, ["P0301"])), (0,)),
    Past("R42", "gap", "parked for two weeks after the second", code_trips((0, ["P0301"]), (2, ["P0301"]), (16, ["P0301"]))),
    Past("R42", "hour", "seven days to the minute", code_trips((0, ["P0301"]), (2, ["P0301"]), (7, ["P0301"])), (0,)),
]  # fmt: skip
