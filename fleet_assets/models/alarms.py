"""From scores of windows to alarms: k of n persistence, then episodes by the shared mechanism.

A window is judged by itself and those before it, never by those after it: an hour can be worked on
by itself, with the last windows of the hour before as context.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
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
ALARM_PIECE_SCHEMA: Final = pl.Schema({**PIECE_SCHEMA, "onset_at": TIME})
"""Pieces begin with the window that makes them an alarm; `onset_at`: the end of the first window
that speaks for it, of runs only."""
ALARM_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(), "condition": pl.String(), "started_at": TIME, "ended_at": TIME,
        "detected_at": TIME, "windows": pl.Int64(), "peak": pl.Float64(), "peak_at": TIME,
        "is_open": pl.Boolean(),
    }
)  # fmt: skip
"""`started_at`: the first step that speaks for it begins; `ended_at`: the last one ends;
`detected_at`: the end of the window that made it an alarm; `windows`: judged from then on while it
lasted; `peak_at`: the end of the one with the highest score."""


@dataclass(frozen=True)
class Persistence:
    """When windows are an alarm.

    Attributes:
        k: so many windows have to be at the threshold
        n: of so many in a row;
        sure: one alone is enough if it is so far above. Scores of models and log10 of odds count
            alike: 1 more is ten times the odds.
        clear_share: below this share of the threshold nothing speaks for it any more.
        joined_within: alarms of a vehicle that are no further apart are one.
        step: length of steps.
    """

    k: int = 2
    n: int = 3
    sure: float = 1.0
    clear_share: float = 0.7
    joined_within: timedelta = timedelta(minutes=2)
    step: timedelta = STEP

    @property
    def max_gap(self) -> timedelta:
        """Silence that ends an alarm."""
        return 6 * self.step

    @property
    def look_back(self) -> timedelta:
        """How far before a window others decide with it whether it is an alarm."""
        return (self.n - 1) * self.step


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
    return alarms(alarm_pieces(scores, threshold, persistence), persistence)


def alarm_pieces(
    scores: pl.DataFrame,
    threshold: float,
    persistence: Persistence = USUAL,
    *,
    since: datetime | None = None,
    marks: bool = True,
) -> pl.DataFrame:
    """Pieces of alarms within a window of time.

    Args:
        scores: as of `alarms_of`.
        threshold: as of `alarms_of`.
        persistence: as of `alarms_of`.
        since: windows that end no later are context, `look_back` of them is enough; None: all
            count.
        marks: tell of windows of time that begin clear: needed where they are shorter than
            `max_gap`.

    Returns:
        Rows of ALARM_PIECE_SCHEMA.
    """
    if scores.is_empty():
        return ALARM_PIECE_SCHEMA.to_frame()
    line, score = _line(scores, persistence)
    known = np.nan_to_num(score, nan=-np.inf)
    complete, onset_us = _persistent(line, known >= threshold, persistence)
    complete |= known >= threshold + persistence.sure
    levels = _levels(score, complete, threshold * persistence.clear_share)
    if since is not None:
        mine = (scores["window_end"] > since).to_numpy()
        if not mine.any():
            return ALARM_PIECE_SCHEMA.to_frame()
        scores = scores.filter(pl.Series(mine))
        line, score = _line(scores, persistence)
        levels, onset_us = levels[mine], onset_us[mine]
    ids = scores["vehicle_id"].unique(maintain_order=True)
    found = pieces(line, levels, marks=marks)
    onsets = pl.Series("onset_at", onset_us[found.start]).cast(TIME)
    return piece_rows(CONDITION, found, ids, line, np.nan_to_num(score)).with_columns(
        onset_at=pl.when(pl.col("part") == "run").then(onsets)
    )


def alarms(pieces: pl.DataFrame, persistence: Persistence = USUAL) -> pl.DataFrame:
    """Alarms of the pieces of any number of windows of time, near ones joined.

    Args:
        pieces: rows of ALARM_PIECE_SCHEMA, in any order.
        persistence: as the pieces were made with.

    Returns:
        Rows of ALARM_SCHEMA in order of vehicle, condition and time.
    """
    of = ["vehicle_id", "condition"]
    onsets = pieces.filter(pl.col("part") == "run").select(*of, "started_at", "onset_at")
    episodes = (
        stitch(pieces)
        .join(onsets, on=[*of, "started_at"], how="left")
        .with_columns(
            detected_at="started_at",
            # who begins with the hour was on before it, where that is not known any more
            started_at=pl.coalesce("onset_at", "started_at") - persistence.step,
        )
        .sort(*of, "detected_at")
    )
    near = pl.col("started_at") - pl.col("ended_at").shift(1) <= persistence.joined_within
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in of)
    numbered = episodes.with_columns(alarm=(~(near & same).fill_null(value=False)).cum_sum())
    return (
        numbered.group_by("alarm", maintain_order=True)
        .agg(
            pl.col(*of).first(),
            pl.col("started_at").min(),
            pl.col("ended_at").max(),
            pl.col("detected_at").first(),
            windows=pl.col("samples").sum(),
            peak=pl.col("peak").max(),
            peak_at=pl.col("peak_at").sort_by("peak", "peak_at", descending=[True, False]).first(),
            is_open=pl.col("is_open").last(),
        )
        .select(ALARM_SCHEMA.names())
    )


def _line(scores: pl.DataFrame, persistence: Persistence) -> tuple[Line, Values]:
    vehicle = scores["vehicle_id"].rle_id().cast(pl.Int32).to_numpy()
    time_us = scores["window_end"].dt.epoch("us").to_numpy()
    gap_us = persistence.max_gap // timedelta(microseconds=1)
    score = scores["score"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Line.of(vehicle, time_us, gap_us), score


def _persistent(
    line: Line, hot: Flags, persistence: Persistence
) -> tuple[Flags, NDArray[np.int64]]:
    """Windows with which k of n is complete, and for each the first hot one of its n, in µs."""
    span_us = persistence.look_back // timedelta(microseconds=1)
    count, onset_us = hot.astype(np.int64), line.time_us.copy()
    for by in range(1, persistence.n):
        before = _before(line, hot, by, span_us)
        count += before
        earlier = np.roll(line.time_us, by)
        onset_us = np.where(before, np.minimum(onset_us, earlier), onset_us)
    return hot & (count >= persistence.k), onset_us


def _before(line: Line, flags: Flags, by: int, span_us: int) -> Flags:
    """For each window whether the one so many before it is flagged, if it is not too long ago."""
    found = np.zeros(len(flags), np.bool_)
    near = line.time_us[by:] - line.time_us[:-by] <= span_us
    found[by:] = flags[:-by] & near & (line.vehicle[by:] == line.vehicle[:-by])
    return found


def _levels(score: Values, complete: Flags, clear_below: float) -> Levels:
    levels = np.where(np.nan_to_num(score, nan=-1.0) >= clear_below, HOLD, CLEAR).astype(np.int8)
    levels[np.isnan(score)] = UNKNOWN
    levels[complete] = SET
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
