"""Draws that depend on nothing but what they are for: the same words give the same numbers."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Literal

import numpy as np
import polars as pl

from fleet_assets.injection.catalogue import Catalogue, Range

Split = Literal["train", "evaluate"]


def digest(*words: object) -> bytes:
    """16 bytes for some words."""
    text = "\x1f".join(map(str, words)).encode()
    return hashlib.blake2b(text, digest_size=16).digest()


def chance(*words: object) -> float:
    """A number from 0 to below 1 for some words."""
    return int.from_bytes(digest(*words)[:8], "big") / 2**64


def generator(*words: object) -> np.random.Generator:
    """A generator for some words."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest(*words), "big")))


def bands_of(whole: Range, catalogue: Catalogue, split: Split | None) -> list[Range]:
    """The parts of a range that a split draws from; training and evaluation share none.

    Parts are half-open, of the same width on a logarithmic scale.
    """
    edges = np.geomspace(*whole, catalogue.bands + 1)
    bands = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    if split is None:
        return bands
    return bands[0::2] if split == "train" else bands[1::2]


def drawn(random: np.random.Generator, band: Range) -> float:
    """A number within a band, evenly on a logarithmic scale."""
    return float(np.exp(random.uniform(*np.log(band))))


def split_of(vehicle_id: str, day: date, catalogue: Catalogue) -> Split:
    """Whether a vehicle's UTC day is for training or for evaluation, whatever the seed."""
    is_evaluation = chance("split", vehicle_id, day) < catalogue.evaluation_share
    return "evaluate" if is_evaluation else "train"


def in_split(telemetry: pl.DataFrame, split: Split, catalogue: Catalogue) -> pl.Series:
    """Which rows belong to a split; training should not see the others at all.

    Args:
        telemetry: `vehicle_id`, `event_time`.
        split: train or evaluate.
        catalogue: says which share is for evaluation.

    Returns:
        A flag for each row.
    """
    days = telemetry.select("vehicle_id", day=pl.col("event_time").dt.date())
    each = days.unique()
    is_in = [split_of(name, day, catalogue) == split for name, day in each.iter_rows()]
    marked = each.with_columns(is_in=pl.Series(is_in, dtype=pl.Boolean))
    return days.join(marked, on=["vehicle_id", "day"], how="left", maintain_order="left")["is_in"]
