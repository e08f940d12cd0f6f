"""Counts of what was really sent, so that a consumer's end state can be compared with it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fleet_assets.fleet_sim.corrupt import CORRUPTIONS, KINDS, NOT_CORRUPT
from fleet_assets.fleet_sim.draws import Ints
from fleet_assets.fleet_sim.times import iso
from fleet_assets.fleet_sim.transport import Messages

_REJECTED = np.array([CORRUPTIONS[kind][0] is not None for kind in KINDS])


class Manifest:
    """Counts messages as they are sent.

    ``messages`` = ``unique_valid_keys`` + ``duplicates`` + ``rejected``. A message that only lost
    a value (``wrong_type``, ``out_of_bounds``) is corrupt, but its key is valid.
    """

    def __init__(self, vehicle_ids: list[str]) -> None:
        self._ids = vehicle_ids
        self._size = len(vehicle_ids)
        names = ("messages", "unique_valid_keys", "duplicates", "rejected", "corrupt", "late")
        self._counts: dict[str, Ints] = {n: np.zeros(self._size, np.int64) for n in names}
        self._reordered = 0
        self._kinds = np.zeros(len(KINDS), np.int64)
        self._first: int | None = None
        self.last_event_ms: int | None = None

    @property
    def messages(self) -> int:
        """Messages sent so far."""
        return int(self._counts["messages"].sum())

    def add(self, sent: Messages) -> None:
        """Count messages that were sent."""
        if not len(sent):
            return
        spoilt = sent.corrupt != NOT_CORRUPT
        rejected = spoilt & _REJECTED[sent.corrupt]
        masks = {
            "messages": slice(None),
            "unique_valid_keys": ~rejected & ~sent.copy,
            "duplicates": sent.copy,
            "rejected": rejected,
            "corrupt": spoilt,
            "late": sent.late,
        }
        for name, mask in masks.items():
            self._counts[name] += np.bincount(sent.vehicle[mask], minlength=self._size)
        self._reordered += int(sent.reordered.sum())
        self._kinds += np.bincount(sent.corrupt[spoilt], minlength=len(KINDS))
        first, last = int(sent.event_ms.min()), int(sent.event_ms.max())
        self._first = first if self._first is None else min(self._first, first)
        self.last_event_ms = last if self.last_event_ms is None else max(self.last_event_ms, last)

    def summary(self) -> dict[str, Any]:
        """The counts, in total and per vehicle."""
        by_kind = {k: int(n) for k, n in zip(KINDS, self._kinds, strict=True) if n}
        reasons: Counter[str] = Counter()
        for kind, n in by_kind.items():
            reason = CORRUPTIONS[kind][0]
            if reason:
                reasons[reason] += n
        totals = {name: int(values.sum()) for name, values in self._counts.items()}
        columns = [values.tolist() for values in self._counts.values()]
        return totals | {
            "reordered": self._reordered,
            "corrupt": by_kind,
            "rejected_by_reason": dict(reasons),
            "first_event": None if self._first is None else iso(self._first),
            "last_event": None if self.last_event_ms is None else iso(self.last_event_ms),
            "per_vehicle": {
                vehicle: dict(zip(self._counts, row, strict=True))
                for vehicle, row in zip(self._ids, zip(*columns, strict=True), strict=True)
            },
        }


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write a manifest as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
