"""Counts of harsh events."""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet_assets.features.catalogue import Feature
from fleet_assets.features.cells import steps_in
from fleet_assets.features.lines import Flags, Line
from fleet_assets.features.measures.view import View
from fleet_assets.rules.samples import Values

G: Final = 9.80665
"""Standard gravity, m/s²."""
MPH: Final = 0.44704
"""Metres per second in a mile per hour."""


def harsh_braking(view: View, feature: Feature) -> Values:
    """Events by slope of speed downwards."""
    return _by_slope(view, feature, -1, view.number("harsh_braking_g"))


def harsh_acceleration(view: View, feature: Feature) -> Values:
    """Events by slope of speed upwards."""
    return _by_slope(view, feature, 1, view.number("harsh_acceleration_g"))


def harsh_cornering(view: View, feature: Feature) -> Values:
    """Events by sideways acceleration of two neighbours."""
    line = view.line(feature)
    near = _near(view, line)
    now, before = line.steps[0], line.before()
    least = view.number("harsh_cornering_g") * G * steps_in(feature.signals[0])
    same_side = np.sign(now) == np.sign(before)
    is_harsh = near & same_side & (np.minimum(np.abs(now), np.abs(before)) >= least)
    return _events(view, feature, line, near, is_harsh)


def _by_slope(view: View, feature: Feature, sign: int, limit_g: float) -> Values:
    line = view.line(feature)
    near = _near(view, line)
    numbers = np.arange(len(line))
    start = np.maximum.accumulate(np.where(near, 0, numbers))
    back = line.back(round(view.number("harsh_base_s") * 1000), start)
    told = back >= 0
    passed_s = (line.time_ms - line.time_ms[back]) / 1000
    mph = sign * (line.steps[0] - line.steps[0][back]) / steps_in(feature.signals[0])
    is_harsh = told & (mph * MPH >= limit_g * G * passed_s)
    return _events(view, feature, line, told, is_harsh)


def _near(view: View, line: Line) -> Flags:
    """Seconds to which a step leads that is short enough to tell an event."""
    return line.linked & (line.weight_ms <= view.number("harsh_step_s") * 1000)


def _events(view: View, feature: Feature, line: Line, told: Flags, is_harsh: Flags) -> Values:
    """Beginnings of harsh stretches in each window; NaN where nothing could be told."""
    begins = is_harsh.copy()
    begins[1:] &= ~(is_harsh[:-1] & line.linked[1:])
    ranges = view.among(line, feature)
    events = ranges.sums(line.running(feature.name, lambda: begins.astype(np.int64)))
    judged = ranges.sums(line.running(f"{feature.name} of", lambda: told.astype(np.int64)))
    return np.where(judged > 0, events.astype(np.float64), np.nan)
