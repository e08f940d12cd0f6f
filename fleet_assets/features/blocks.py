"""Telemetry in blocks, so that what is computed of one stays in the cache and memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.features.catalogue import LONGEST_S, REACH_S
from fleet_assets.features.lines import Ints

CONTEXT: Final = timedelta(seconds=LONGEST_S + REACH_S)
"""How much of the time before the first window's step is looked at."""
BLOCK_ROWS: Final = 50_000
"""Whole vehicles are taken together up to about so many messages."""
VEHICLE_ROWS: Final = 200_000
"""The history of one vehicle is cut into parts of about so many, each with its context."""
_US: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Block:
    """Rows [start, stop) of telemetry, and from which step on windows are wanted of them.

    Attributes:
        from_us: beginning of the first step that is wanted, in µs since 1970; None: all are.
    """

    start: int
    stop: int
    from_us: int | None = None


def blocks_of(telemetry: pl.DataFrame, step_us: int) -> Iterator[Block]:
    """Blocks that together have every window once.

    Args:
        telemetry: rows in order of vehicle and time, at least one.
        step_us: distance of windows in µs.
    """
    lengths = telemetry["vehicle_id"].rle().struct.field("len").to_numpy().astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    long = lengths > VEHICLE_ROWS
    after_long = np.append(False, long[:-1])
    begins = (np.diff(starts // BLOCK_ROWS, prepend=-1) > 0) | long | after_long
    for first, last in pairwise([*np.flatnonzero(begins).tolist(), len(starts)]):
        start, stop = int(starts[first]), int(starts[last - 1] + lengths[last - 1])
        if long[first]:
            time_us = telemetry["event_time"][start:stop].dt.epoch("us").to_numpy()
            yield from _parts(time_us, start, step_us)
        else:
            yield Block(start, stop)


def _parts(time_us: Ints, start: int, step_us: int) -> Iterator[Block]:
    """The history of one vehicle, cut where steps begin."""
    steps = np.unique(time_us[::VEHICLE_ROWS] // step_us)
    begins = steps * step_us
    context = np.searchsorted(time_us, begins - CONTEXT // _US)
    stops = np.append(np.searchsorted(time_us, begins[1:]), len(time_us))
    for begin, first, stop in zip(begins.tolist(), context, stops, strict=True):
        yield Block(start + int(first), start + int(stop), begin)
