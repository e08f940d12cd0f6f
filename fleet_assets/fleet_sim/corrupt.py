"""Ways in which a message is spoilt, and what a correct consumer makes of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.fleet_sim.draws import Ints, Stream, words
from fleet_assets.fleet_sim.encode import Payloads

_RPM: Final = re.compile(rb'"engine_rpm":[^,}]*')
_ID: Final = re.compile(rb'"vehicle_id":"[^"]*",')
_TIME: Final = re.compile(rb'"timestamp":"[^"]*",')

CORRUPTIONS: Final[dict[str, tuple[str | None, Callable[[bytes], bytes]]]] = {
    "invalid_json": ("invalid_json", lambda m: m.replace(b'":', b'" ', 1)),
    "truncated": ("invalid_json", lambda m: m[: 20 + (len(m) * 7919) % (len(m) - 21)]),
    "not_an_object": ("not_an_object", lambda m: b"[" + m + b"]"),
    "empty": ("empty", lambda m: b""),
    "not_utf8": ("not_utf8", lambda m: m.replace(b'"vehicle_id":"', b'"vehicle_id":"\xff\xfe', 1)),
    "nan": (None, lambda m: _RPM.sub(b'"engine_rpm":NaN', m, count=1)),
    "missing_vehicle_id": ("missing_vehicle_id", lambda m: _ID.sub(b"", m, count=1)),
    "missing_timestamp": ("missing_timestamp", lambda m: _TIME.sub(b"", m, count=1)),
    "naive_timestamp": ("naive_timestamp", lambda m: m.replace(b'Z"', b'"', 1)),
    "invalid_timestamp": (
        "invalid_timestamp", lambda m: _TIME.sub(b'"timestamp":"yesterday",', m, count=1),
    ),
    "wrong_type": (None, lambda m: _RPM.sub(b'"engine_rpm":"fast"', m, count=1)),
    "out_of_bounds": (None, lambda m: _RPM.sub(b'"engine_rpm":20000.0', m, count=1)),
}  # fmt: skip
"""By kind: the reason for which the message is rejected (None: it only costs the value), and how
to spoil a good message."""

KINDS: Final = tuple(CORRUPTIONS)
NOT_CORRUPT: Final = -1


def corrupt(
    payloads: Payloads, rows: Ints, seed: int, vehicle: Ints, number: Ints
) -> NDArray[np.int8]:
    """Spoil the messages ``rows`` in place; returns the index of the kind for each message."""
    kinds = np.full(payloads.size, NOT_CORRUPT, np.int8)
    if rows.size:
        drawn = words(seed, Stream.CORRUPT, vehicle[rows], number[rows]) % np.uint64(len(KINDS))
        kinds[rows] = drawn.astype(np.int8)
        for row, kind in zip(rows.tolist(), drawn.tolist(), strict=True):
            payloads[row] = CORRUPTIONS[KINDS[kind]][1](payloads[row])
    return kinds
