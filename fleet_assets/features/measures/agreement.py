"""Whether sensors that measure the same motion agree."""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet_assets.features.catalogue import Feature
from fleet_assets.features.cells import steps_in
from fleet_assets.features.lines import Flags, Ints, Line
from fleet_assets.features.measures.harsh import MPH
from fleet_assets.features.measures.view import View
from fleet_assets.features.windows import ratio
from fleet_assets.rules.samples import Values

_EARTH_M: Final = 6_371_008.8
"""Mean radius of the earth (IUGG)."""
_FINE: Final = 1000
"""Derived values are kept in thousandths, so that their sums are exact."""
_MOST_MPH: Final = 10_000.0
"""Speed by positions is cut here: a jump around the world must not outgrow the sums."""


def gps_speed_gap(view: View, feature: Feature) -> Values:
    """Mean difference of speed by positions and by the wheels, mph."""
    line, told, by_gps, by_wheels = _speeds(view, feature)
    gap = np.where(told, np.abs(by_gps - by_wheels), 0)
    return _mean(view, feature, line, told, gap)


def gps_distance_ratio(view: View, feature: Feature) -> Values:
    """Distance by positions over distance by the wheels."""
    line, told, by_gps, by_wheels = _speeds(view, feature)
    weight = np.where(told, line.weight_ms, 0)
    ranges = view.among(line, feature)
    gps = ranges.sums(line.running(f"{feature.name} gps", lambda: weight * by_gps))
    wheels = ranges.sums(line.running(f"{feature.name} wheels", lambda: weight * by_wheels))
    enough = wheels / (_FINE * 3_600_000) >= view.number("least_travel_mi")
    return ratio(gps, wheels, enough)


def _speeds(view: View, feature: Feature) -> tuple[Line, Flags, Ints, Ints]:
    """The line, where speeds can be told, by positions and by wheels, in thousandths of mph."""
    line = view.line(feature)
    back = line.back(_base_ms(view))
    passed_ms = np.maximum(line.time_ms - line.time_ms[back], 1)
    lat, lon = (np.radians(line.steps[n] / steps_in(feature.signals[n])) for n in (0, 1))
    east = np.mod(lon - lon[back] + np.pi, 2 * np.pi) - np.pi
    east = east * np.cos((lat + lat[back]) / 2)
    metres = _EARTH_M * np.hypot(lat - lat[back], east)
    by_gps = np.minimum(metres / passed_ms * 1000 / MPH, _MOST_MPH)
    by_wheels = _mean_since(line, 2, back) / steps_in("speed")
    return line, back >= 0, _fine(by_gps), _fine(by_wheels)


def accel_speed_gap(view: View, feature: Feature) -> Values:
    """Standard deviation of forward acceleration less change of speed, m/s²."""
    line = view.line(feature)
    back = line.back(_base_ms(view))
    told = back >= 0
    passed_s = np.maximum(line.time_ms - line.time_ms[back], 1) / 1000
    change = (line.steps[1] - line.steps[1][back]) / steps_in("speed") * MPH / passed_s
    gap = np.where(told, _fine(_mean_since(line, 0, back) / steps_in("accel_x") - change), 0)
    ranges = view.among(line, feature)
    count = ranges.sums(line.running(f"{feature.name} of", lambda: told.astype(np.int64)))
    total = ranges.sums(line.running(f"{feature.name} sum", lambda: gap))
    squares = ranges.sums(line.running(f"{feature.name} squares", lambda: gap * gap))
    variance = ratio(count * squares - total * total, count * count, count >= 2)
    return np.sqrt(variance) / _FINE


def rpm_per_mph(view: View, feature: Feature) -> Values:
    """Mean of engine speed over wheel speed while coupled."""
    line = view.line(feature)
    coupled = _coupled(view, line)
    return _mean(view, feature, line, coupled, _fine(_quotient(line, coupled)))


def rpm_per_mph_change(view: View, feature: Feature) -> Values:
    """Mean relative change of engine speed over wheel speed, %."""
    line = view.line(feature)
    rpm_on = view.number("engine_on_rpm") * steps_in("engine_rpm")
    coupled = _coupled(view, line) & (line.steps[0] >= rpm_on)
    follows = line.linked.copy()
    follows[1:] &= coupled[1:] & coupled[:-1]
    start = np.maximum.accumulate(np.where(follows, 0, np.arange(len(line))))
    back = line.back(_base_ms(view), start)
    told = back >= 0
    logs = np.log(np.maximum(_quotient(line, coupled), 1e-9))
    change = np.where(told, _fine(np.expm1(np.abs(logs - logs[back])) * 100 * told), 0)
    return _mean(view, feature, line, told, change)


def throttle_load_corr(view: View, feature: Feature) -> Values:
    """Correlation of two signals over time, by what each interval ends with."""
    line = view.line(feature)
    ranges = view.among(line, feature)
    weight = line.weight_ms
    one, other = line.steps
    total = ranges.sums(line.running("weight", lambda: weight))

    def about_mean(x: Ints, y: Ints, name: str) -> Values:
        """Mean product of deviations; exact about whole steps near the means."""
        xs = ranges.sums(line.running(f"corr {name[0]}", lambda: weight * x))
        ys = ranges.sums(line.running(f"corr {name[1]}", lambda: weight * y))
        both = ranges.sums(line.running(f"corr {name}", lambda: weight * x * y))
        near_x, near_y = (xs // np.maximum(total, 1), ys // np.maximum(total, 1))
        moved = both - near_x * ys - near_y * xs + near_x * near_y * total
        rest_x, rest_y = ratio(xs - near_x * total, total), ratio(ys - near_y * total, total)
        return ratio(moved, total) - rest_x * rest_y

    spread_x = np.sqrt(np.maximum(about_mean(one, one, "xx"), 0))
    spread_y = np.sqrt(np.maximum(about_mean(other, other, "yy"), 0))
    least = view.number("least_spread_pct")
    valid = (ranges.count >= 3) & (spread_x >= least * steps_in(feature.signals[0]))
    valid &= spread_y >= least * steps_in(feature.signals[1])
    return np.clip(ratio(about_mean(one, other, "xy"), spread_x * spread_y, valid), -1, 1)


def _base_ms(view: View) -> int:
    return round(view.number("agreement_base_s") * 1000)


def _fine(values: Values) -> Ints:
    return np.rint(values * _FINE).astype(np.int64)


def _mean_since(line: Line, signal: int, back: Ints) -> Values:
    """Mean of a signal over the time since an earlier second of the stretch, in steps."""
    path = line.running(
        f"path {signal}",
        lambda: line.weight_ms * (line.before(signal) + line.steps[signal]),
    )
    passed_ms = np.maximum(line.time_ms - line.time_ms[back], 1)
    return np.asarray((path[1:] - path[back + 1]) / (2 * passed_ms))


def _coupled(view: View, line: Line) -> Flags:
    return np.asarray(line.steps[1] >= view.number("geared_mph") * steps_in("speed"))


def _quotient(line: Line, coupled: Flags) -> Values:
    rpm = line.steps[0] / steps_in("engine_rpm")
    return np.where(coupled, rpm / np.maximum(line.steps[1] / steps_in("speed"), 1), 0.0)


def _mean(view: View, feature: Feature, line: Line, told: Flags, values: Ints) -> Values:
    """Mean over time of thousandths where they are told."""
    weight = np.where(told, line.weight_ms, 0)
    ranges = view.among(line, feature)
    total = ranges.sums(line.running(f"{feature.name} of", lambda: weight))
    return ratio(ranges.sums(line.running(feature.name, lambda: weight * values)), total * _FINE)
