"""Levels, spread, slopes and extremes of one signal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fleet_assets.features.catalogue import Feature
from fleet_assets.features.cells import steps_in
from fleet_assets.features.lines import Ints, Line
from fleet_assets.features.measures.view import View
from fleet_assets.features.windows import Ranges, ratio
from fleet_assets.rules.samples import Values

Measure = Callable[[View, Feature], Values]


def mean(view: View, feature: Feature) -> Values:
    """Mean over time, by trapezoids."""
    line = view.line(feature)
    return _mean_steps(line, view.among(line, feature)) / steps_in(feature.signals[0])


def std(view: View, feature: Feature) -> Values:
    """Standard deviation over time, by trapezoids of the squares."""
    line = view.line(feature)
    ranges = view.among(line, feature)
    level = _mean_steps(line, ranges)
    near = np.rint(np.nan_to_num(level)).astype(np.int64)  # moments about it are exact
    weight, doubled, squares = (ranges.sums(running) for running in _moments(line))
    second = squares - 2 * near * doubled + 2 * near * near * weight
    variance = ratio(second, 2 * weight) - (level - near) ** 2
    deviation = np.sqrt(np.maximum(variance, 0)) / steps_in(feature.signals[0])
    return np.where(ranges.count >= 2, deviation, np.nan)


def _mean_steps(line: Line, ranges: Ranges) -> Values:
    weight, doubled, _ = _moments(line)
    return ratio(ranges.sums(doubled), 2 * ranges.sums(weight))


def _moments(line: Line) -> tuple[Ints, Ints, Ints]:
    """Running sums of time, of twice the signal and of twice its square, each times the time."""

    def doubled() -> Ints:
        return np.asarray(line.weight_ms * (line.before() + line.steps[0]))

    def squares() -> Ints:
        return np.asarray(line.weight_ms * (line.before() ** 2 + line.steps[0] ** 2))

    return (
        line.running("weight", lambda: line.weight_ms),
        line.running("doubled", doubled),
        line.running("squares", squares),
    )


def slope(view: View, feature: Feature) -> Values:
    """Least squares over the newest stretch, per `per_s` seconds.

    Times count from the window's end, so that sums are small whole numbers; the running sums wrap.
    """
    line = view.line(feature)
    ranges = view.among(line, feature)
    last = np.maximum(ranges.stop - 1, 0)
    first = np.maximum(ranges.first, line.chain_start[last])
    stretch = Ranges(np.minimum(first, ranges.stop), ranges.stop)
    time, signal = line.time_ms, line.steps[0]
    count, end = stretch.count, view.windows.end_ms
    times = stretch.sums(line.running("t", lambda: time))
    squares = stretch.sums(line.running("tt", lambda: time * time))
    signals = stretch.sums(line.running("x", lambda: signal))
    both = stretch.sums(line.running("tx", lambda: time * signal))
    squares = squares - 2 * end * times + count * end * end
    both = both - end * signals
    times = times - count * end
    span_ms = time[last] - time[np.minimum(stretch.first, len(time) - 1)]
    least_ms = view.number("slope_span") * feature.horizon_s * 1000
    valid = (count >= 2) & (span_ms >= least_ms)
    per_ms = ratio(count * both - times * signals, count * squares - times * times, valid)
    return per_ms * 1000 * feature.per_s / steps_in(feature.signals[0])


def highest(view: View, feature: Feature) -> Values:
    """Highest value of any message."""
    return _extreme(view, feature, 1)


def lowest(view: View, feature: Feature) -> Values:
    """Lowest value of any message."""
    return _extreme(view, feature, -1)


def _extreme(view: View, feature: Feature, sign: int) -> Values:
    signal = feature.signals[0]
    least = np.iinfo(np.int64).min
    ranges = view.among(view.line_of(), feature)
    found = ranges.largest(view.cells.extremes(signal, sign), least)
    return np.where(found == least, np.nan, sign * found / steps_in(signal))


def jump(view: View, feature: Feature) -> Values:
    """Greatest change between neighbours, per second."""
    line = view.line(feature)
    change = np.abs(line.steps[0] - line.before())
    per_s = np.where(line.linked, change / np.maximum(line.weight_ms / 1000, 1), -1.0)
    found = view.among(line, feature).largest(per_s, -1.0)
    return np.where(found < 0, np.nan, found / steps_in(feature.signals[0]))
