"""Gathering the pieces that an hour's pieces may be joined with, from the hours around it.

Hours are read outwards from those that have changed, each time only for the groups of which
something may go on beyond what has been read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.lake.store import TableSnapshot
from partitions.hours import HOUR, hour_start

MOST_AT_ONCE: Final = 64
Edge = Callable[[pl.DataFrame, datetime], pl.DataFrame]
"""From rows and a moment to the groups of which something may go on beyond that moment."""


def read_groups(
    rows: pl.LazyFrame, groups: pl.DataFrame | None, group: Sequence[str]
) -> pl.DataFrame:
    """Rows of some groups; None: of all."""
    if groups is not None:
        rows = rows.join(groups.lazy(), on=list(group), how="semi")
    return rows.collect(engine="streaming")


def hours_of(table: TableSnapshot) -> list[str]:
    """Keys of the hours that have rows, in order."""
    return [] if table.files.is_empty() else sorted(table.files["event_hour"].unique())


@dataclass(frozen=True)
class Chains:
    """What is joined, and when it may go on.

    Attributes:
        group: columns of a group: what belongs to different ones is never joined.
        hours: keys of all hours that have rows, in order.
        read: gives the rows of some hours, of some groups if so asked.
        before: groups that may have begun before a moment.
        after: groups that may go on at or after a moment.
    """

    group: Sequence[str]
    hours: Sequence[str]
    read: Callable[[Sequence[str], pl.DataFrame | None], pl.DataFrame]
    before: Edge
    after: Edge


@dataclass(frozen=True)
class Gathered:
    """Rows that belong together.

    Attributes:
        rows: what was read.
        covered: the columns of a group, `first` and `last`: hours of which all rows that matter to
            the group are among `rows`.
    """

    rows: pl.DataFrame
    covered: pl.DataFrame


def gather(chains: Chains, first: str, last: str, seeds: pl.DataFrame) -> Gathered:
    """All that may be joined with what lies in some hours that follow each other.

    Args:
        chains: what is joined.
        first: key of the first of the hours that have changed.
        last: key of the last.
        seeds: columns of a group, `first` and `last`: hours that are wanted of a group in any case,
            because something was there before the change.
    """
    group = list(chains.group)
    inside = chains.hours[bisect_left(chains.hours, first) : bisect_right(chains.hours, last)]
    rows = [chains.read(inside, None)]
    everyone = pl.concat([rows[0].select(group), seeds.select(group)]).unique()
    bounds = seeds.group_by(group).agg(pl.col("first").min(), pl.col("last").max())
    covered = everyone.join(bounds, on=group, how="left", nulls_equal=True).select(
        *group,
        wanted_first=pl.min_horizontal(pl.lit(first), "first"),
        wanted_last=pl.max_horizontal(pl.lit(last), "last"),
    )
    reached = []
    for leftwards in (True, False):
        frontier, step = (first if leftwards else last), 1
        found = [everyone.with_columns(reached=pl.lit(frontier))]
        active = everyone
        while True:
            mine = pl.concat(rows).join(active, on=group, how="semi", nulls_equal=True)
            wanted = (
                covered.filter(pl.col("wanted_first") < frontier)
                if leftwards
                else covered.filter(pl.col("wanted_last") > frontier)
            )
            moment = hour_start(frontier) + (HOUR * (not leftwards))
            may = (chains.before if leftwards else chains.after)(mine, moment)
            active = pl.concat([may.select(group), wanted.select(group)]).unique()
            following = _next(chains.hours, frontier, step, leftwards=leftwards)
            if active.is_empty() or not following:
                break
            rows.append(chains.read(following, active))
            frontier = following[0] if leftwards else following[-1]
            found.append(active.with_columns(reached=pl.lit(frontier)))
            step = min(step * 2, MOST_AT_ONCE)
        furthest = pl.col("reached").min() if leftwards else pl.col("reached").max()
        reached.append(pl.concat(found).group_by(group).agg(furthest))
    both = (
        reached[0]
        .rename({"reached": "first"})
        .join(reached[1].rename({"reached": "last"}), on=group, nulls_equal=True)
    )
    return Gathered(pl.concat(rows), both)


def _next(hours: Sequence[str], frontier: str, count: int, *, leftwards: bool) -> Sequence[str]:
    """So many hours that have rows, beyond a frontier."""
    if leftwards:
        end = bisect_left(hours, frontier)
        return hours[max(0, end - count) : end]
    start = bisect_right(hours, frontier)
    return hours[start : start + count]
