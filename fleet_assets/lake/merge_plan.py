"""Which files of an hour are worth rewriting: the decision of compaction, as a pure function.

Files as landings and refreshes leave them are *loose*. Files that compaction has written are
known by their name; small ones are merged again with the next loose ones, large ones stay, so
that a slow trickle of late rows does not rewrite a large hour again and again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

COMPACTED: Final = "compacted-"
"""How the names of files begin that compaction has written."""
ENCODED: Final = frozenset({"telemetry"})
"""Tables of which even a single loose file is rewritten, for its size."""


@dataclass(frozen=True)
class MergeLimits:
    """When files are merged.

    Attributes:
        loose: most loose files of a closed hour.
        loose_open: most loose files of an hour that still gets its messages.
        quiet: a closed hour without a new file for this long is tidied up whatever it holds.
        large_rows: a compacted file of so many rows is left as it is.
        overlap: most large files that may hold the same vehicle.
    """

    loose: int = 8
    loose_open: int = 64
    quiet: timedelta = timedelta(hours=1)
    large_rows: int = 1_000_000
    overlap: int = 4


def files_to_merge(
    table: str,
    files: pl.DataFrame,
    now: datetime,
    *,
    closed: bool,
    thorough: bool = False,
    limits: MergeLimits | None = None,
) -> list[str]:
    """Paths of the files of one hour to rewrite now, none if it is good as it is.

    Args:
        table: name of the table.
        files: the hour's files, as `TableSnapshot.files` has them.
        now: the moment of the decision.
        closed: the hour gets only late messages.
        thorough: tidy up a closed hour without waiting for it to be quiet.
        limits: other limits than the usual.
    """
    limits = limits or MergeLimits()
    named = files.with_columns(
        compacted=pl.col("path").str.split("/").list.last().str.starts_with(COMPACTED)
    )
    loose = named.filter(~pl.col("compacted"))
    large = named.filter(pl.col("compacted") & (pl.col("num_records") >= limits.large_rows))
    small = named.filter(pl.col("compacted") & (pl.col("num_records") < limits.large_rows))
    crowded = loose.height > (limits.loose if closed else limits.loose_open)
    if closed and _depth(large) > limits.overlap:
        return _paths(named)
    if not (crowded or (closed and (thorough or _is_quiet(loose, now, limits.quiet)))):
        return []
    merged = pl.concat([loose, small])
    if merged.height > 1 or (table in ENCODED and loose.height == 1):
        return _paths(merged)
    return []


def _paths(files: pl.DataFrame) -> list[str]:
    return files["path"].sort().to_list()


def _is_quiet(loose: pl.DataFrame, now: datetime, quiet: timedelta) -> bool:
    if loose.is_empty():
        return False
    newest = loose["modification_time"].cast(pl.Datetime("us")).max()
    return isinstance(newest, datetime) and newest <= now.replace(tzinfo=None) - quiet


def _depth(files: pl.DataFrame) -> int:
    """Most files whose ranges of vehicles hold the same vehicle; neighbours share one at most."""
    if "min.vehicle_id" not in files.columns or files.height < 2:
        return 0
    opened = files.select(at="min.vehicle_id", change=pl.lit(1))
    ended = files.select(at="max.vehicle_id", change=pl.lit(-1))
    steps = pl.concat([opened, ended]).drop_nulls().sort("at", "change")
    deepest = steps["change"].cum_sum().max()
    return int(deepest) if isinstance(deepest, int) else 0


def keys_with_files(files: pl.DataFrame, by: str | None) -> Collection[str | None]:
    """Hours or days that a table holds files of; [None] for a table without partitions.

    Args:
        files: as `TableSnapshot.files` has them.
        by: the partition column.
    """
    if files.is_empty():
        return []
    return [None] if by is None else files[by].unique().sort().to_list()
