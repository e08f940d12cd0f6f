"""From a row of telemetry back to a message that decodes to it.

Nothing that `telemetry` holds is lost: originals of refused and inexact values, explicit nulls and
unknown keys stand in the message as they came. Only spelling is not kept (white space, order).
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from fleet_assets.contracts.signals import SIGNALS


def wire_form(rows: pl.DataFrame) -> pl.Series:
    """A message for each row.

    Args:
        rows: rows of `telemetry`, few: this is Python, row by row.

    Returns:
        Bytes of JSON in UTF-8.
    """
    messages = [_message(row) for row in rows.iter_rows(named=True)]
    return pl.Series("value", messages, dtype=pl.Binary)


def _message(row: dict[str, Any]) -> bytes:
    event_time: datetime = row["event_time"]
    message: dict[str, Any] = {
        "vehicle_id": row["vehicle_id"],
        "timestamp": event_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    _merge(message, _as_written(row["extra"]))
    invalid, inexact = _as_written(row["invalid_values"]), _as_written(row["inexact_values"])
    for signal in SIGNALS:
        if signal.name in invalid:
            value, reason = invalid[signal.name]["value"], invalid[signal.name]["reason"]
            if reason == "not_finite":
                value = _Number(value)
            elif reason == "wrong_type" and isinstance(value, _Number) and signal.path[1:]:
                message[signal.path[0]] = value  # the object as a whole was a number
                continue
        elif signal.name in inexact:
            value = inexact[signal.name]
        elif row[signal.name] is not None:
            value = row[signal.name]
        elif signal.name in row["null_signals"]:
            value = None
        else:
            continue
        inside = message
        for key in signal.path[:-1]:
            inside = inside.setdefault(key, {})
        inside[signal.path[-1]] = value
    return _dumps(message).encode()


class _Number(str):
    """A number as it was written."""


def _as_written(text: str | None) -> dict[str, Any]:
    """An object whose numbers keep their spelling."""
    found: dict[str, Any] = json.loads(text or "{}", parse_float=_Number, parse_int=_Number)
    return found


def _dumps(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_dumps(key)}:{_dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dumps, value)) + "]"
    if isinstance(value, (_Number, Decimal)):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _merge(target: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
