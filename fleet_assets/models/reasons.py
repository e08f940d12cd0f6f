"""Why a window is an alarm: the strongest numbers, what is normal, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.features.catalogue import read_features
from fleet_assets.injection.signals import signals_of
from fleet_assets.models.evidence import GROUP
from fleet_assets.models.faults import fault_words
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.frame import FEATURES, INPUTS, matrix
from fleet_assets.models.vehicle import Vehicle

STRONGEST: Final = 3
_NAMES: Final[Mapping[str, str]] = {
    "engine_rpm": "engine speed", "speed": "wheel speed", "throttle_position": "throttle",
    "coolant_temp": "coolant temperature", "fuel_level": "fuel level", "gps": "position",
    "accelerometer": "accelerometer", "engine_load": "engine load",
    "battery_voltage": "battery voltage", "oil_pressure": "oil pressure",
    "intake_air_temp": "intake air temperature", "ambient_temp": "outside temperature",
    "accel_x": "forward acceleration", "accel_y": "sideways acceleration",
    "accel_z": "upward acceleration", "gps_speed": "speed by positions",
    "speed_change": "change of wheel speed",
}  # fmt: skip
_MEASURES: Final[Mapping[str, str]] = {
    "spread": "range of the {what} within ten seconds",
    "jump": "greatest leap of the {what}",
    "same_s": "time that the {what} has stood still",
    "null_share": "share of messages without a value of the {what}",
    "same_travel": "movement of other signals while the {what} stood still",
    "excess_m": "distance that the {what} moved beyond what the wheels tell",
}
_NEVER_NEGATIVE: Final = ("share", "s", "events", "ratio")


@dataclass(frozen=True)
class Reason:
    """A number that speaks for an alarm.

    Attributes:
        name: the feature or quantity.
        value: what it was.
        low: lowest usual value for this vehicle.
        high: highest usual value.
        unit: of all three.
        away: how far it is off; beyond 1 is unusual.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    away: float


def explained(alarms: pl.DataFrame, frame: pl.DataFrame, model: FleetModel) -> pl.DataFrame:
    """Alarms with reasons.

    Args:
        alarms: rows of ALARM_SCHEMA with `fault` (kind/subject).
        frame: the model frame that they come from; only windows of their peaks are looked at.
        model: what they were made by.

    Returns:
        The alarms with `reasons` (a list of structs as Reason) and `description`.
    """
    peaks = alarms.select("vehicle_id", window_end="peak_at").join(
        frame, on=["vehicle_id", "window_end"], how="left", maintain_order="left"
    )
    importance = model.own.classifier.importances()
    told = [
        reasons_of(peaks[number], model.vehicles.get(who, model.vehicles[GROUP]), fault, importance)
        for number, (who, fault) in enumerate(alarms.select("vehicle_id", "fault").iter_rows())
    ]
    lists = [[vars(reason) for reason in reasons] for reasons in told]
    sentences = [
        sentence(fault, reasons) for fault, reasons in zip(alarms["fault"], told, strict=True)
    ]
    schema = pl.List(
        pl.Struct(
            {"name": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
             "unit": pl.String, "away": pl.Float64}
        )
    )  # fmt: skip
    return alarms.with_columns(
        reasons=pl.Series(lists, dtype=schema), description=pl.Series(sentences, dtype=pl.String)
    )


def reasons_of(
    window: pl.DataFrame, vehicle: Vehicle, fault: str, importance: Mapping[str, float]
) -> list[Reason]:
    """The strongest numbers of one window.

    What is expected from the other sensors comes first where it is about the sensor that is blamed;
    of the rest, what is furthest out of its range counts, weighted with what it matters to the
    models.
    """
    found = [*_expected(window, vehicle), *_ranges(window, vehicle)]
    blamed = set(signals_of(fault.split("/")[1])) | {fault.split("/")[1]}

    def weight(reason: Reason) -> float:
        about = 3.0 if any(reason.name.startswith(name) for name in blamed) else 1.0
        matters = importance.get(f"{reason.name}_away", 0.01)
        return float(about * min(abs(reason.away), 5.0) * np.sqrt(matters))

    unusual = [reason for reason in found if abs(reason.away) > 1]
    return sorted(unusual, key=weight, reverse=True)[:STRONGEST]


def _expected(window: pl.DataFrame, vehicle: Vehicle) -> list[Reason]:
    """Quantities against what the other sensors say."""
    found = []
    for one in vehicle.expectations.values():
        away = float(one.residuals(window)[0])
        value = window[one.target][0]
        if value is None or not np.isfinite(away):
            continue
        expected = float(one.expected(window)[0])
        _, low, _, high, _ = one.off.get(window["regime"][0], one.off["all"])
        found.append(
            Reason(one.target, value, expected + low, expected + high, _unit(one.target), away)
        )
    return found


def _ranges(window: pl.DataFrame, vehicle: Vehicle) -> list[Reason]:
    values, away = matrix(window, INPUTS)[0], vehicle.away(window)[0]

    def low(n: int) -> float:
        is_size = INPUTS[n].endswith(("_spread", "_jump"))
        least = 0.0 if is_size or _unit(INPUTS[n]) in _NEVER_NEGATIVE else -np.inf
        return float(max(vehicle.low[n], least))

    return [
        Reason(name, float(values[n]), low(n), float(vehicle.high[n]), _unit(name),
               float(away[n]))
        for n, name in enumerate(INPUTS)
        if np.isfinite(values[n]) and np.isfinite(away[n])
    ]  # fmt: skip


def _unit(name: str) -> str:
    if name in FEATURES:
        return read_features().feature(name).unit
    if name.endswith(("_same_s",)):
        return "s"
    if name.endswith("_share"):
        return "share"
    signal = SIGNAL_BY_NAME.get(name.rsplit("_", 1)[0])
    return {"gps_speed": "mph", "speed_change": "mph/s", "gps_excess_m": "m"}.get(
        name, str(signal.unit) if signal and signal.unit else ""
    )


def sentence(fault: str, reasons: Sequence[Reason]) -> str:
    """What a mechanic reads."""
    kind, subject = fault.split("/")
    what = " and ".join(_NAMES.get(name, name.replace("_", " ")) for name in subject.split("+"))
    said = fault_words(kind).says.format(what=what)
    return " ".join([said, *(_number(reason) for reason in reasons[:1])])


def _number(reason: Reason) -> str:
    is_share = reason.unit == "share"
    unit = "%" if is_share else reason.unit
    value, low, high = (
        f"{number * (100 if is_share else 1):,.4g}"
        for number in (reason.value, reason.low, reason.high)
    )
    end = f" {unit}" if unit else ""
    return f"{_title(reason.name)}: {value}{end}; usual here is {low} to {high}{end}."


def _title(name: str) -> str:
    if name in FEATURES:
        return read_features().feature(name).definition.split(";")[0].rstrip(".")
    for signal, words in sorted(_NAMES.items(), key=lambda item: -len(item[0])):
        if name == signal or name.startswith(f"{signal}_"):
            told = _MEASURES.get(name.removeprefix(signal).strip("_"), "{what}")
            told = told.format(what=words)
            return told[0].upper() + told[1:]
    return name.replace("_", " ").capitalize()
