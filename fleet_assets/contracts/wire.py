"""The wire format as JSON Schema, made from the registry of signals.

The schema says what a good message is. The platform is more lenient: a value that breaks it costs
that value and not the message.
"""

from __future__ import annotations

from typing import Any, Final

from fleet_assets.contracts.signals import SIGNALS, Signal

_JSON_TYPES: Final = {
    "number": "number", "boolean": "boolean", "string": "string", "string_list": "array",
}  # fmt: skip


def wire_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one message of the telemetry topic."""
    properties: dict[str, Any] = {"vehicle_id": _VEHICLE_ID, "timestamp": _TIMESTAMP}
    for signal in SIGNALS:
        inside = properties
        for key in signal.path[:-1]:
            inside = inside.setdefault(key, _object())["properties"]
        inside[signal.path[-1]] = _value(signal)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vehicle-telemetry",
        "description": (
            "One message of a vehicle, one JSON object in UTF-8. An absent signal is a sensor that "
            "is not fitted, null is a sensor that failed. Keys that are not named here are kept."
        ),
        "type": "object",
        "required": ["vehicle_id", "timestamp"],
        "properties": properties,
        "additionalProperties": True,
    }


_VEHICLE_ID: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "pattern": r"^[^\u0000-\u001f\u007f]+$",
    "description": "The vehicle as registered; the Kafka key, if there is one, equals it.",
}
_TIMESTAMP: Final = {
    "type": ["string", "integer"],
    "examples": ["2026-01-01T05:00:00.250Z", 1767243600250],
    "description": "Time of the event: ISO 8601 with a time zone, or epoch milliseconds.",
}


def _object() -> dict[str, Any]:
    return {"type": ["object", "null"], "properties": {}, "additionalProperties": True}


def _value(signal: Signal) -> dict[str, Any]:
    unit = f" Unit: {signal.unit}." if signal.unit else ""
    schema: dict[str, Any] = {
        "type": [_JSON_TYPES[signal.kind], "null"],
        "description": f"{signal.description}{unit}",
    }
    if signal.kind == "number":
        schema |= {"minimum": signal.minimum, "maximum": signal.maximum}
    if signal.kind == "string_list":
        schema["items"] = {"type": "string", "pattern": signal.pattern}
    elif signal.pattern is not None:
        schema["pattern"] = signal.pattern
    return schema
