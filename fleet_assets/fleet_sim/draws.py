"""Random numbers as pure functions of what they are for.

A draw is a hash of (seed, stream, a, b), so it does not depend on how many draws came before it:
any block of time can be generated alone, and every cut into blocks gives the same messages.
"""

from __future__ import annotations

from enum import IntEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP_A = np.uint64(0x9E3779B97F4A7C15)
_STEP_B = np.uint64(0xD1B54A32D192ED03)


class Stream(IntEnum):
    """What a draw is for; two streams never share numbers."""

    VEHICLE = 1
    PHASE = 2
    LEG = 3
    TRIP = 4
    FAULT = 5
    FAULT_ORDER = 6
    NOISE_1 = 10
    NOISE_2 = 11
    NOISE_3 = 12
    TRANSPORT = 20
    DELAY = 21
    CORRUPT = 22
    COPY = 23


def _mix(word: Words) -> Words:
    """Finaliser of splitmix64."""
    word = (word ^ (word >> np.uint64(30))) * _MIX_1
    word = (word ^ (word >> np.uint64(27))) * _MIX_2
    return word ^ (word >> np.uint64(31))


def words(seed: int, stream: Stream, a: NDArray[np.integer], b: NDArray[np.integer] | int) -> Words:
    """64 random bits for each pair of ``a`` and ``b`` (broadcast)."""
    with np.errstate(over="ignore"):
        key = _mix(np.array([seed & (2**63 - 1)], dtype=np.uint64) + np.uint64(stream) * _STEP_A)
        first = a.astype(np.uint64) * _STEP_A
        second = np.asarray(b).astype(np.uint64) * _STEP_B
        return _mix(_mix(first + second + key) + _STEP_B)


def uniform(
    seed: int, stream: Stream, a: NDArray[np.integer], b: NDArray[np.integer] | int
) -> Floats:
    """Uniform numbers in [0, 1)."""
    return (words(seed, stream, a, b) >> np.uint64(11)).astype(np.float64) * 2.0**-53


_NORMAL = np.clip([NormalDist().inv_cdf((i + 0.5) / 65536) for i in range(65536)], -3.0, 3.0)


def normal_lane(bits: Words, lane: int) -> Floats:
    """Normal noise (sd 1, cut at ±3) from 16 of the 64 bits; ``lane`` is 0 to 3."""
    table: Floats = _NORMAL
    index: NDArray[np.uint16] = ((bits >> np.uint64(16 * lane)) & np.uint64(0xFFFF)).astype(
        np.uint16
    )
    return table[index]
