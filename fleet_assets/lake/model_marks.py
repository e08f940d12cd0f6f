"""Names of the tables that models write by hour, and of their marks; apart from the models, which
take a second to import."""

from __future__ import annotations

from typing import Final

MODEL_SEGMENTS: Final = "model_segments"
MODEL_HOURS: Final = "model_hours"


def models_id(event_hour: str) -> str:
    """Fingerprint of the models that the hour was judged by; 0: none."""
    return f"models/{event_hour}"


def windows_id(event_hour: str) -> str:
    """Fingerprint of the feature windows that the hour was judged from."""
    return f"windows/{event_hour}"
