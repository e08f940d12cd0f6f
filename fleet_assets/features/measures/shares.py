"""Shares of time: idle, moving, stuck, missing."""

from __future__ import annotations

import numpy as np

from fleet_assets.features.catalogue import Feature
from fleet_assets.features.cells import steps_in
from fleet_assets.features.lines import Flags, Line
from fleet_assets.features.measures.view import View
from fleet_assets.features.windows import ratio
from fleet_assets.rules.samples import Values


def idle_share(view: View, feature: Feature) -> Values:
    """Time with the engine running and the vehicle standing."""
    line = view.line(feature)
    rpm, speed = line.steps
    idle = rpm >= view.number("engine_on_rpm") * steps_in("engine_rpm")
    idle &= speed < view.number("idle_mph") * steps_in("speed")
    return _share(view, feature, line, idle)


def moving_share(view: View, feature: Feature) -> Values:
    """Time on the move."""
    line = view.line(feature)
    return _share(view, feature, line, _moving(view, line))


def rpm_repeat_share(view: View, feature: Feature) -> Values:
    """Time with the engine running in which engine speed repeats itself."""
    line = view.line(feature)
    running = line.steps[0] >= view.number("engine_on_rpm") * steps_in("engine_rpm")
    return _repeat_share(view, feature, line, line.linked & running)


def speed_repeat_share(view: View, feature: Feature) -> Values:
    """Time on the move in which speed repeats itself."""
    line = view.line(feature)
    return _repeat_share(view, feature, line, line.linked & _moving(view, line))


def gps_repeat_share(view: View, feature: Feature) -> Values:
    """Time on the move, by the wheels, in which both coordinates repeat themselves."""
    line = view.line(feature)
    return _repeat_share(view, feature, line, line.linked & _moving(view, line), signals=2)


def silent_share(view: View, feature: Feature) -> Values:
    """Time that no interval between messages covers."""
    line = view.line_of()
    covered = view.among(line, feature).sums(line.running("linked", lambda: _linked_ms(line)))
    return np.clip(1 - covered / (feature.horizon_s * 1000), 0, 1)


def rpm_missing_share(view: View, feature: Feature) -> Values:
    """Time covered by messages in which engine speed is not known."""
    everything, line = view.line_of(), view.cells.line("engine_rpm")
    covered = view.among(everything, feature).sums(
        everything.running("linked", lambda: _linked_ms(everything))
    )
    if line is None:
        known = np.zeros(len(covered), np.int64)
    else:
        running = line.running("linked", lambda: _linked_ms(line))
        known = view.among(line, feature).sums(running)
    named = everything.running("rpm named", lambda: view.cells.names("engine_rpm").astype(np.int64))
    longest = max(view.windows.first)
    is_fitted = view.windows.among(everything, longest).sums(named) > 0
    return np.clip(1 - ratio(known, covered, is_fitted), 0, 1)


def null_share(view: View, feature: Feature) -> Values:
    """Time covered by messages in which any signal is an explicit null."""
    line = view.line_of()
    ranges = view.among(line, feature)
    covered = ranges.sums(line.running("linked", lambda: _linked_ms(line)))
    nulls = line.running("nulls", lambda: _linked_ms(line) * view.cells.has_null)
    return ratio(ranges.sums(nulls), covered)


def _linked_ms(line: Line) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.where(line.linked, line.weight_ms, 0)


def _moving(view: View, line: Line) -> Flags:
    """Speed is the last signal of the line."""
    return np.asarray(line.steps[-1] >= view.number("moving_mph") * steps_in("speed"))


def _share(view: View, feature: Feature, line: Line, flags: Flags) -> Values:
    ranges = view.among(line, feature)
    total = ranges.sums(line.running("weight", lambda: line.weight_ms))
    return ratio(ranges.sums(line.running(feature.name, lambda: line.weight_ms * flags)), total)


def _repeat_share(
    view: View, feature: Feature, line: Line, counts: Flags, signals: int = 1
) -> Values:
    repeats = counts.copy()
    for number in range(signals):
        repeats &= line.steps[number] == line.before(number)
    ranges = view.among(line, feature)
    total = ranges.sums(line.running(f"{feature.name} of", lambda: line.weight_ms * counts))
    return ratio(ranges.sums(line.running(feature.name, lambda: line.weight_ms * repeats)), total)
