"""Hours that a process left half-way: no newer message, so nothing but their marks tells of it.

A rebuild by hand that was killed is such a case. The hour has nothing to take in, and would stand
out of line until the next message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleet_assets.lake.hour_tables import FOLLOWERS
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import Mark, agree, app_id, rows_id
from fleet_assets.lake.store import Lake

_DERIVED: Final = (*FOLLOWERS, "vehicle_hours")
_HOUR: Final = app_id("")

_known: dict[str, tuple[int, Mapping[str, int]]] = {}


def cut_off_hours(lake: Lake) -> frozenset[str]:
    """Hours whose tables do not all hold what `telemetry` says, also while a refresh is at work."""
    truth = _marks(lake, "telemetry")
    found: set[str] = set()
    for name in _DERIVED:
        marks = _marks(lake, name)
        for application in truth:
            if application.startswith(_HOUR):
                event_hour = application.removeprefix(_HOUR)
                if not agree(_mark(truth, event_hour), _mark(marks, event_hour)):
                    found.add(event_hour)
    return frozenset(found)


def _mark(marks: Mapping[str, int], event_hour: str) -> Mark:
    return Mark(marks.get(app_id(event_hour)), marks.get(rows_id(event_hour)))


def _marks(lake: Lake, name: str) -> Mapping[str, int]:
    """Marks of a table's newest version; a version that is known is not read again."""
    table = lake.find(name)
    if table is None:
        return {}
    version, marks = _known.get(lake.uri(name), (-1, {}))
    if version != table.version:
        marks = all_marks(table.delta)
        _known[lake.uri(name)] = (table.version, marks)
    return marks
