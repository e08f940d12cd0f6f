"""Anomalies that go on for very long are cut, each part going on from the one before."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

LONGEST: Final = timedelta(days=7)
"""RULES, Gaps: state conditions are cut after so long and go on under `continues_id`."""


def parts_of_long(found: pl.DataFrame) -> pl.DataFrame:
    """Cuts what lasts for longer than LONGEST; cuts hang on the onset alone.

    Args:
        found: rows of FINDING_SCHEMA, and any other columns.

    Returns:
        The same with `onset` (of the whole) and `number` of the part; all parts but the last are
        closed. The peak stands in the part in which it was reached; the steps of severity in those
        in which they were, and the first step of a later part is where the one before left off.
    """
    span_us = (pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds()
    last = span_us // (LONGEST // timedelta(microseconds=1))
    whole = found.with_columns(
        onset=pl.col("started_at"), number=pl.int_ranges(0, last + 1)
    ).explode("number", empty_as_null=False)
    if whole["number"].max() in (None, 0):
        return whole
    begins = pl.col("onset") + pl.col("number") * LONGEST
    ends = pl.min_horizontal(begins + LONGEST, pl.col("ended_at"))
    is_last = pl.col("number") == pl.col("number").max().over("vehicle_id", "condition", "onset")
    here = pl.col("peak_at").is_between(pl.col("started_at"), pl.col("ended_at"))
    return whole.with_columns(
        started_at=begins, ended_at=ends, is_open=pl.col("is_open") & is_last
    ).with_columns(
        detected_at=pl.max_horizontal("detected_at", "started_at"),
        peak=pl.when(here).then("peak"),
        peak_at=pl.when(here).then("peak_at"),
    )
