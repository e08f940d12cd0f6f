"""Signals as faults know them: one, a group that fails together, or a pair."""

from __future__ import annotations

from typing import Final

from fleet_assets.contracts.signals import SIGNAL_BY_NAME

GROUPS: Final = {
    "gps": ("gps_lat", "gps_lon"),
    "accelerometer": ("accel_x", "accel_y", "accel_z"),
}
"""Signals that one device measures, and so fail together."""


def signals_of(subject: str) -> tuple[str, ...]:
    """Names of the signals of a fault's subject, which are columns of `telemetry`.

    >>> signals_of("gps")
    ('gps_lat', 'gps_lon')
    >>> signals_of("accel_x+accel_y")
    ('accel_x', 'accel_y')
    """
    return GROUPS.get(subject) or tuple(subject.split("+"))


def known_subject(subject: str) -> bool:
    """Whether all signals of a subject are numbers of the contract."""
    names = signals_of(subject)
    return all(n in SIGNAL_BY_NAME and SIGNAL_BY_NAME[n].kind == "number" for n in names)


def device_of(signal: str) -> str:
    """The group that a signal belongs to, or itself."""
    return next((group for group, names in GROUPS.items() if signal in names), signal)
