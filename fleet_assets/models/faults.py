"""What people are told of each kind of fault: a sentence, its type among anomalies, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["low", "medium", "high", "critical"]
SENSOR: Final = "sensor_failure"
POSITION: Final = "gps_anomaly"
ENGINE: Final = "engine_fault"
FUEL: Final = "low_fuel"


@dataclass(frozen=True)
class FaultWords:
    """Words for one kind.

    Attributes:
        says: with `{what}` for the signal.
        anomaly_type: that of rules which look for the same; they then share a `finding_id`.
        severity: of the anomaly.
        action: what to do.
    """

    says: str
    anomaly_type: str
    severity: Severity
    action: str


_CHECK: Final = "Check the sensor, its plug and its wiring."
UNKNOWN: Final = FaultWords("The {what} does not fit the other sensors.", SENSOR, "medium", _CHECK)
WORDS: Final[Mapping[str, FaultWords]] = {
    "bias": FaultWords(
        "The {what} sensor reads too high or too low against the other sensors.",
        SENSOR, "medium", "Compare the sensor with a second instrument; replace it if it is off.",
    ),
    "drift": FaultWords(
        "The {what} sensor drifts away from what the other sensors say.",
        SENSOR, "medium", "Compare the sensor with a second instrument; replace it if it is off.",
    ),
    "scale": FaultWords(
        "The {what} reading is off by a share of itself, as with a wrong wheel size.",
        SENSOR, "medium", "Check wheel size and calibration, then the sensor.",
    ),
    "noise": FaultWords(
        "The {what} signal is noisy, as with a loose contact.", SENSOR, "low", _CHECK
    ),
    "spike": FaultWords(
        "The {what} signal has spikes, as with a loose plug.", SENSOR, "low", _CHECK
    ),
    "stuck": FaultWords(
        "The {what} signal stands still while the vehicle moves.", SENSOR, "medium", _CHECK
    ),
    "delay": FaultWords(
        "The {what} signal comes late against the others.",
        SENSOR, "low", "Check the telematics unit and its bus connection.",
    ),
    "dropout": FaultWords("The {what} sensor sends no value.", SENSOR, "medium", _CHECK),
    "gps_jump": FaultWords(
        "The position has jumped further than the vehicle can have driven.",
        POSITION, "medium", "Check the antenna; if it happens again, look for jamming.",
    ),
    "sensor_swap": FaultWords(
        "The signals {what} seem to be swapped.",
        SENSOR, "medium", "Check what was connected in the last repair.",
    ),
    "thermostat": FaultWords(
        "The engine is too cold or too hot for how it is driven: check the thermostat.",
        ENGINE, "high", "Check thermostat and coolant before a long trip.",
    ),
    "misfire": FaultWords(
        "The engine speed is uneven, as with a misfire.",
        ENGINE, "high", "Read the trouble codes; check ignition and injection.",
    ),
    "fuel_leak": FaultWords(
        "The fuel level falls faster than the engine can burn.",
        FUEL, "high", "Look for a leak, or for theft, before the next trip.",
    ),
}  # fmt: skip


def fault_words(kind: str, subject: str = "") -> FaultWords:
    """Words for a kind; kinds that are not known get plain ones.

    Args:
        kind: of the catalogue of injected faults.
        subject: signal or device; what is about positions is a `gps_anomaly`, whatever its kind.
    """
    words = WORDS.get(kind, UNKNOWN)
    if subject == "gps" and words.anomaly_type == SENSOR:
        return FaultWords(words.says, POSITION, words.severity, words.action)
    return words
