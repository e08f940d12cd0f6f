"""Finding a place for one kind of fault in a stretch, and how large it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.injection.catalogue import Kind, Range
from fleet_assets.injection.draws import Split, bands_of, drawn
from fleet_assets.injection.effects import KEEP_VALUES, effect_of
from fleet_assets.injection.on_the_wire import share_out_of_bounds, step_of
from fleet_assets.injection.scene import Fault, Scene, change_in
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import Flags, Stretch, Values

_DRAWS: Final = 3
"""How often size and length are drawn before another kind has its turn."""
_TRIES: Final = 8
"""Places that are looked at closely in each."""
_KNOWN: Final = 0.8
"""Least share of the fault's rows that tell its signals."""
_SHOWN: Final = 0.9
"""Least share of the fault's rows in which it can show."""
_LEAST_ROWS: Final = 3
_OUT_OF_BOUNDS: Final = 0.2
"""Most of a fault's values that may be clipped: else its magnitude would mean little."""
_CUT_OFF: Final = ("spike", "noise")
"""Kinds whose values may be cut off at the bounds as often as they like."""
_LEAST_USUAL: Final = 10
"""Fewest rows that say what is usual."""


@dataclass(frozen=True)
class Placed:
    """A fault in a stretch: its first and last row, and its size.

    Attributes:
        magnitude: in the unit of the catalogue.
        amount: in the unit of the signal.
    """

    subject: str
    first: int
    last: int
    magnitude: float
    amount: float
    is_up: bool
    steps: tuple[float, ...]


def place(
    stretch: Stretch, kind: Kind, subject: str, random: np.random.Generator, split: Split | None
) -> Placed | None:
    """Draws size, length and place of a fault; None where it does not fit.

    Args:
        stretch: knows all signals of the subject.
        kind: what is to be injected.
        subject: one of the kind's.
        random: what is drawn from.
        split: which parts of the ranges may be drawn from.
    """
    lengths = _that_fit(bands_of(kind.duration_s, stretch.catalogue, split), stretch)
    draws = (_draw(stretch, kind, subject, lengths, random, split) for _ in range(_DRAWS))
    return next((found for found in draws if found is not None), None) if lengths else None


def _draw(
    stretch: Stretch,
    kind: Kind,
    subject: str,
    lengths: list[Range],
    random: np.random.Generator,
    split: Split | None,
) -> Placed | None:
    """One draw; lengths are bands of seconds."""
    length = lengths[random.integers(len(lengths))]
    duration_s = drawn(random, length)
    drawn_magnitude = None
    if kind.magnitude == "drawn" and (whole := kind.magnitude_range(subject)) is not None:
        bands = bands_of(whole, stretch.catalogue, split)
        drawn_magnitude = drawn(random, bands[random.integers(len(bands))])
    is_up = bool(random.integers(2))
    starts, lasts = _places(stretch, kind, subject, duration_s, length)
    if not len(starts):
        return None
    for at in random.choice(len(starts), min(_TRIES, len(starts)), replace=False):
        first, last = int(starts[at]), int(lasts[at])
        found = _sized(stretch, kind, subject, (first, last), drawn_magnitude, is_up)
        if found is not None:
            return found
    return None


def _that_fit(bands: list[Range], stretch: Stretch) -> list[Range]:
    room_s = stretch.time_s[-1] - 2 * stretch.catalogue.margin_s
    return [band for band in bands if band[1] <= room_s]


def _places(
    stretch: Stretch, kind: Kind, subject: str, duration_s: float, length: Range
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last rows of all spans of a length in which the fault can show."""
    time_s, margin_s = stretch.time_s, stretch.catalogue.margin_s
    end_s = float(time_s[-1]) - margin_s
    if kind.until_drive_ends:
        if not stretch.ends_drive:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        end_s = float(time_s[-1])
        starts = np.searchsorted(time_s, [end_s - duration_s])
    else:
        starts = np.arange(len(time_s))
    lasts = np.searchsorted(time_s, time_s[starts] + duration_s, side="right") - 1
    rows = lasts - starts + 1
    actual_s = time_s[lasts] - time_s[starts]
    fits = (time_s[starts] >= margin_s) & (time_s[lasts] <= end_s) & (rows >= _LEAST_ROWS)
    fits &= actual_s >= length[0]
    where = stretch.catalogue.where(kind, subject)
    fits &= _count(stretch.while_(where), starts, lasts) >= _SHOWN * rows
    for name in signals_of(subject):
        known = _count(~np.isnan(stretch.signals[name]), starts, lasts)
        fits &= (known >= _KNOWN * rows) & (known >= _LEAST_ROWS)
    return starts[fits], lasts[fits]


def _count(flags: Flags, starts: NDArray[np.int64], lasts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many flags are set from each start to its last row."""
    total = np.append(0, np.cumsum(flags))
    return np.asarray(total[lasts + 1] - total[starts])


def _sized(
    stretch: Stretch,
    kind: Kind,
    subject: str,
    rows: tuple[int, int],
    drawn_magnitude: float | None,
    is_up: bool,
) -> Placed | None:
    """The fault at one place; None where it could not be seen, or not be sent."""
    first, last = rows
    scene = _scene(stretch, first, last)
    group = kind.applied(subject)
    if change_in(subject, scene) < group.least_change:
        return None
    size = _size(stretch, kind, subject, scene, drawn_magnitude)
    if size is None:
        return None
    magnitude, amount = size
    for up in (is_up, not is_up):
        fault = Fault("", kind.kind, subject, amount, up)
        found = effect_of(fault, scene)
        if kind.kind in _CUT_OFF or _can_be_sent(found):
            steps = _steps(stretch, kind, subject)
            return Placed(subject, first, last, magnitude, amount, up, steps)
    return None


def _size(
    stretch: Stretch, kind: Kind, subject: str, scene: Scene, drawn_magnitude: float | None
) -> tuple[float, float] | None:
    """Magnitude and amount; None where nothing can be said of it, or too little."""
    group = kind.applied(subject)
    if drawn_magnitude is not None:
        if not group.of_usual:
            return drawn_magnitude, drawn_magnitude
        usual = _usual(stretch, kind, subject)
        return None if usual is None else (drawn_magnitude, drawn_magnitude / 100 * usual)
    if kind.magnitude == "duration":
        return (float(scene.seconds[-1]),) * 2
    one, other = signals_of(subject)
    measured = float(np.nanmean(np.abs(scene.within(one) - scene.within(other))))
    return None if measured < (group.least or 0) else (measured, measured)


def _steps(stretch: Stretch, kind: Kind, subject: str) -> tuple[float, ...]:
    """The steps of each signal: the vehicle's own, where values are computed."""
    steps = {} if kind.kind in KEEP_VALUES else stretch.catalogue.steps
    names = signals_of(subject)
    return tuple(step_of(stretch.signals[name], name, steps.get(name, ())) for name in names)


def _scene(stretch: Stretch, first: int, last: int) -> Scene:
    """The rows of a fault and all before it."""
    until = {name: values[: last + 1] for name, values in stretch.signals.items()}
    return Scene(stretch.time_s[: last + 1] - stretch.time_s[first], until, first)


def _can_be_sent(found: dict[str, Values]) -> bool:
    return all(share_out_of_bounds(v, name) <= _OUT_OF_BOUNDS for name, v in found.items())


def _usual(stretch: Stretch, kind: Kind, subject: str) -> float | None:
    """Median of a signal in the stretch while its faults can show."""
    values = stretch.signals[subject][stretch.while_(stretch.catalogue.where(kind, subject))]
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) >= _LEAST_USUAL else None
