"""An unknown key becomes a signal: one entry in the registry, then a rebuild of its hours.

Meanwhile old rows keep the key in `extra`, new ones have the column, and a message that is repeated
across the change is still the same message.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from promoted_registry import in_child
from telemetry_data import HOUR, LATE_AFTER, land_values, message, placed

from fleet_assets.lake.expiry import expire_hour
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.resolve import canonical_hash


def at(vehicle: str, second: int, **values: Any) -> bytes:
    return message(vehicle, f"2026-02-01T05:00:{second:02}Z", **values)


WITH_KEY = at("v1", 1, speed=1, tire_pressure=32.5, other="x")
IN_CONFLICT = [at("v2", 7, speed=1, tire_pressure=30), at("v2", 7, speed=2, tire_pressure=30)]
SENT_BEFORE = [
    WITH_KEY,
    at("v1", 2, speed=1),
    at("v1", 3, tire_pressure=None),
    at("v1", 4, tire_pressure="flat"),
    at("v1", 5, tire_pressure=99999),
    *IN_CONFLICT,
]
SENT_AFTER = [
    WITH_KEY,
    at("v1", 6, tire_pressure=40),
    IN_CONFLICT[0],
    at("v1", 3, tire_pressure=None),
]
OLD_ROWS = {
    "v1:1": [None, '{"tire_pressure":32.5,"other":"x"}', None, False, False],
    "v1:2": [None, None, None, False, False],
    "v1:3": [None, '{"tire_pressure":null}', None, False, False],
    "v1:4": [None, '{"tire_pressure":"flat"}', None, False, False],
    "v1:5": [None, '{"tire_pressure":99999}', None, False, False],
    "v2:7": [None, '{"tire_pressure":30}', None, False, True],
}
NEW_ROWS = {
    "v1:1": ["32.5", '{"other":"x"}', None, False, False],
    "v1:2": [None, None, None, False, False],
    "v1:3": [None, None, None, True, False],
    "v1:4": [None, None, '{"tire_pressure":{"value":"flat","reason":"wrong_type"}}', False, False],
    "v1:5": [
        None, None, '{"tire_pressure":{"value":99999,"reason":"out_of_bounds"}}', False, False,
    ],
    "v1:6": ["40.0", None, None, False, False],
    "v2:7": ["30.0", None, None, False, True],
}  # fmt: skip
READ = len(SENT_BEFORE) + len(SENT_AFTER)
TOTALS = [READ, 7, 3, 1, 0]


def nothing(_: Lake) -> None:
    pass


def raw_expires(lake: Lake) -> None:
    assert expire_hour(lake, HOUR).rows == len(SENT_BEFORE)


@pytest.mark.parametrize("meanwhile", [nothing, raw_expires], ids=["with raw", "raw has expired"])
def test_a_key_becomes_a_signal(tmp_path: Path, meanwhile: Callable[[Lake], None]) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, SENT_BEFORE)
    refresh_hour(lake, HOUR, frozenset({"v1", "v2"}), LATE_AFTER)
    meanwhile(lake)

    seen = in_child("what_readers_see", lake_url=lake.url)
    assert seen == {"rows": OLD_ROWS, "sql": len(OLD_ROWS), "changed": False}

    mixed = in_child(
        "take_in", lake_url=lake.url, event_hour=HOUR, start=len(SENT_BEFORE),
        messages=[sent.decode() for sent in SENT_AFTER],
    )  # fmt: skip
    assert (mixed["totals"], mixed["rejects"], mixed["differences"]) == (TOTALS, 1, [])
    untouched = ("v1:2", "v1:4", "v1:5")
    assert {key: mixed["rows"][key] for key in untouched} == {
        key: OLD_ROWS[key] for key in untouched
    }
    assert {key for key, row in mixed["rows"].items() if row[4]} == {"v2:7"}

    after = in_child("rebuild", lake_url=lake.url, event_hour=HOUR)
    assert after == {"rows": NEW_ROWS, "totals": TOTALS, "rejects": 1, "differences": []}


def test_signals_that_were_not_sent_do_not_count_in_the_canonical_form() -> None:
    rows = decode(placed([at("v1", 1, speed=1, tire_pressure=30)])).rows.drop("i")
    form = (
        '{"vehicle_id":"v1","event_time":"2026-02-01 05:00:01+00","speed":1.0,"null_signals":[],'
        '"extra":"{\\"tire_pressure\\":30}"}'
    )
    assert canonical_hash(rows).to_list() == [sha256(form.encode()).hexdigest()]
