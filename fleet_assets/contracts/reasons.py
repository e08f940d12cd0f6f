"""Why a message is rejected: a closed list of codes with what each means for a user.

The order is the order of the tests: the first that applies is the message's reason.
"""

from __future__ import annotations

from typing import Final

REJECT_REASONS: Final[dict[str, str]] = {
    "empty": "The value is null (a tombstone) or has no bytes.",
    "not_utf8": "The bytes are not UTF-8 text.",
    "invalid_json": "The text is not one JSON value.",
    "not_an_object": "The JSON value is not an object.",
    "missing_vehicle_id": "No vehicle_id, or it is null.",
    "invalid_vehicle_id": "vehicle_id is not a string of 1 to 128 printable characters.",
    "key_mismatch": "The Kafka key names another vehicle than vehicle_id does.",
    "missing_timestamp": "No timestamp, or it is null.",
    "naive_timestamp": "The timestamp has no time zone, so it names no moment.",
    "invalid_timestamp": "The timestamp is neither ISO 8601 nor epoch milliseconds.",
    "future": "The event is further ahead of its arrival than FLEET_FUTURE_TOLERANCE.",
    "ancient": "The event lies before FLEET_PARTITIONS_START.",
    "too_late": "The event was older than FLEET_MAX_LATENESS, or its hour is in the archive.",
    "unknown_vehicle": "No vehicle is registered under this id; registering it brings it back.",
    "conflicting_duplicate": "Another message of the same vehicle and time says otherwise.",
}

NO_VEHICLE: Final = "(none)"
"""Stands for the vehicle of messages whose vehicle_id cannot be used."""
