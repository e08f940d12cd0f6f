"""From scores of windows to alarms: k of n persistence, then episodes by the shared mechanism."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.episodes.frames import piece_rows
from fleet_assets.episodes.levels import CLEAR, HOLD, SET, UNKNOWN, Levels
from fleet_assets.episodes.pieces import pieces
from fleet_assets.episodes.runs import Line
from fleet_assets.episodes.stitch import PIECE_SCHEMA, TIME, stitch
from fleet_assets.features.kernel import STEP

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
CONDITION: Final = "model"
ALARM_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(), "started_at": TIME, "ended_at": TIME, "detected_at": TIME,
        "windows": pl.Int64(), "peak": pl.Float64(), "peak_at": TIME, "is_open": pl.Boolean(),
    }
)  # fmt: skip
"""`started_at`: the first step that speaks for it begins; `ended_at`: the last one ends;
`detected_at`: the end of the window that made it an alarm; `peak_at`: that of the highest score."""


@dataclass(frozen=True)
class Persistence:
    """When windows are an alarm.

    Attributes:
        k: so many windows have to be at the threshold
        n: of so many in a row.
        clear_share: below this share of the threshold nothing speaks for it any more.
        joined_within: alarms of a vehicle that are no further apart are one.
        step: length of steps.
    """

    k: int = 2
    n: int = 3
    clear_share: float = 0.7
    joined_within: timedelta = timedelta(minutes=2)
    step: timedelta = STEP

    @property
    def max_gap(self) -> timedelta:
        """Silence that ends an alarm."""
        return 6 * self.step


USUAL: Final = Persistence()


def alarms_of(
    scores: pl.DataFrame, threshold: float, persistence: Persistence = USUAL
) -> pl.DataFrame:
    """Alarms in one pass over whole histories.

    Args:
        scores: `vehicle_id`, `window_end`, `score` (null: nothing is said) in order of vehicle and
            time.
        threshold: scores from here on speak for an alarm.
        persistence: how many have to.

    Returns:
        Rows of ALARM_SCHEMA in order of vehicle and time.
    """
    return joined(
        stitch(alarm_pieces(scores, threshold, persistence)), scores, threshold, persistence
    )


def alarm_pieces(
    scores: pl.DataFrame, threshold: float, persistence: Persistence = USUAL
) -> pl.DataFrame:
    """Pieces of alarms within a window of time, for `stitch`; arguments as of `alarms_of`."""
    if scores.is_empty():
        return PIECE_SCHEMA.to_frame()
    line, score = _line(scores, persistence)
    confirmed, _ = _persistent(line, score, threshold, persistence)
    levels = _levels(score, confirmed, threshold * persistence.clear_share)
    ids = scores["vehicle_id"].unique(maintain_order=True)
    return piece_rows(CONDITION, pieces(line, levels, marks=True), ids, line, np.nan_to_num(score))


def joined(
    episodes: pl.DataFrame, scores: pl.DataFrame, threshold: float, persistence: Persistence = USUAL
) -> pl.DataFrame:
    """Episodes of windows as alarms: with the time of detection, near ones joined.

    Args:
        episodes: rows of EPISODE_SCHEMA by the ends of windows.
        scores: of those windows, with n windows before.
        threshold: as the episodes were made with.
        persistence: as the episodes were made with.
    """
    if episodes.is_empty():
        return ALARM_SCHEMA.to_frame()
    near = pl.col("started_at") - pl.col("ended_at").shift(1) <= persistence.joined_within
    same = pl.col("vehicle_id") == pl.col("vehicle_id").shift(1)
    numbered = episodes.sort("vehicle_id", "started_at").with_columns(
        alarm=(~(near & same).fill_null(value=False)).cum_sum()
    )
    made = numbered.group_by("alarm", maintain_order=True).agg(
        pl.col("vehicle_id").first(),
        (pl.col("started_at").first() - persistence.step),
        first_end=pl.col("started_at").first(),
        ended_at=pl.col("ended_at").max(),
        windows=pl.col("samples").sum(),
        peak=pl.col("peak").max(),
        peak_at=pl.col("peak_at").sort_by("peak", descending=True).first(),
        is_open=pl.col("is_open").last(),
    )
    line, score = _line(scores, persistence)
    _, complete = _persistent(line, score, threshold, persistence)
    times = scores.select("vehicle_id", detected_at="window_end").filter(pl.Series(complete))
    return (
        made.sort("first_end")
        .join_asof(
            times.sort("detected_at"), left_on="first_end", right_on="detected_at",
            by="vehicle_id", strategy="forward", coalesce=False, check_sortedness=False,
        )
        .sort("vehicle_id", "started_at")
        .select(ALARM_SCHEMA.names())
    )  # fmt: skip


def _line(scores: pl.DataFrame, persistence: Persistence) -> tuple[Line, Values]:
    vehicle = scores["vehicle_id"].rle_id().cast(pl.Int32).to_numpy()
    time_us = scores["window_end"].dt.epoch("us").to_numpy()
    gap_us = persistence.max_gap // timedelta(microseconds=1)
    score = scores["score"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Line.of(vehicle, time_us, gap_us), score


def _persistent(
    line: Line, score: Values, threshold: float, persistence: Persistence
) -> tuple[Flags, Flags]:
    """Windows that belong to k of n, and those with which k of n is complete."""
    hot = np.nan_to_num(score, nan=-1.0) >= threshold
    span_us = (persistence.n - 1) * (persistence.step // timedelta(microseconds=1))
    before = [hot, *(_shifted(line, hot, by, span_us) for by in range(1, persistence.n))]
    complete = hot & (np.sum(before, axis=0) >= persistence.k)
    after = [complete, *(_shifted(line, complete, -by, span_us) for by in range(1, persistence.n))]
    return hot & np.any(after, axis=0), complete


def _shifted(line: Line, flags: Flags, by: int, span_us: int) -> Flags:
    """For each window whether the one so many before it is flagged, if it is not too long ago."""
    found = np.zeros(len(flags), np.bool_)
    to, of = (slice(by, None), slice(None, -by)) if by > 0 else (slice(None, by), slice(-by, None))
    near = np.abs(line.time_us[to] - line.time_us[of]) <= span_us
    found[to] = flags[of] & near & (line.vehicle[to] == line.vehicle[of])
    return found


def _levels(score: Values, confirmed: Flags, clear_below: float) -> Levels:
    levels = np.where(np.nan_to_num(score, nan=-1.0) >= clear_below, HOLD, CLEAR).astype(np.int8)
    levels[np.isnan(score)] = UNKNOWN
    levels[confirmed] = SET
    return levels


def threshold_for(
    scores: pl.DataFrame, most_alarms: float, persistence: Persistence = USUAL, steps: int = 60
) -> float:
    """The lowest threshold with no more alarms than allowed.

    Args:
        scores: of healthy windows, by models that have not seen them.
        most_alarms: allowed alarms in all of them.
        persistence: as alarms are made.
        steps: how many thresholds are tried, by bisection of the scores in order.
    """
    values = np.unique(scores["score"].drop_nulls().to_numpy())
    if not len(values):
        return np.inf
    least, most = 0, len(values)  # values[most] would be above all
    above = float(np.nextafter(values[-1], np.inf))
    for _ in range(steps):
        if least >= most:
            break
        middle = (least + most) // 2
        if alarms_of(scores, float(values[middle]), persistence).height <= most_alarms:
            most = middle
        else:
            least = middle + 1
    return float(values[least]) if least < len(values) else above
