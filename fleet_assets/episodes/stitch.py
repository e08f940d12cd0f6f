"""From the pieces of windows to episodes.

Law: whatever way a history is cut into windows, stitching their pieces gives the episodes of one
window with all samples.
"""

from __future__ import annotations

from typing import Final

import polars as pl

TIME: Final = pl.Datetime("us", "UTC")
PIECE_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "condition": pl.String(),
        "part": pl.String(),  # run, lead, mark
        "started_at": TIME,
        "ended_at": TIME,
        "at_left": pl.Boolean(),
        "ended_by": pl.String(),  # clear, gap, set, edge
        "max_gap": pl.Duration("us"),
        "min_duration": pl.Duration("us"),
        "samples": pl.Int64(),
        "peak": pl.Float64(),
        "peak_at": TIME,
    }
)
"""Both limits are those in force at the piece's first sample. `max_gap` null: the condition
survives silence."""
EPISODE_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "condition": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "is_open": pl.Boolean(),
        "max_gap": pl.Duration("us"),
        "min_duration": pl.Duration("us"),
        "samples": pl.Int64(),
        "peak": pl.Float64(),
        "peak_at": TIME,
    }
)
_OF = ["vehicle_id", "condition"]


def stitch(pieces: pl.DataFrame) -> pl.DataFrame:
    """Joins pieces of any number of windows, in whatever order they come.

    Args:
        pieces: rows of PIECE_SCHEMA (others columns are passed over); each window appears once.

    Returns:
        Rows of EPISODE_SCHEMA in order of vehicle, condition and onset. `is_open`: nothing known
        has ended it; `settled` tells when silence has.
    """
    ordered = pieces.select(PIECE_SCHEMA.names()).sort(*_OF, "started_at", "ended_at")
    goes_on = (pl.col("ended_by") == "edge").shift(1) & pl.col("at_left") & _in_time()
    follows = (pl.col("ended_by") == "set").shift(1) & (pl.col("part") == "run")
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in _OF)
    linked = (same & (goes_on | follows) & (pl.col("part") != "mark")).fill_null(False)
    # whatever is known later has ended it, be it only by the silence before
    is_last = ~same.shift(-1).fill_null(False)
    chained = ordered.with_columns(
        episode=(~linked).cum_sum(), is_open=is_last & (pl.col("ended_by") == "edge")
    )
    # a chain of leads with nothing before it never was on
    begun = (pl.col("part") == "run").cast(pl.Int8).cum_max().over("episode") == 1
    of_episode = chained.filter(begun)
    return (
        of_episode.group_by("episode", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in (*_OF, "started_at")),
            pl.col("ended_at").last(),
            pl.col("is_open").last(),
            max_gap=pl.col("max_gap").last(),
            min_duration=pl.col("min_duration").first(),
            samples=pl.col("samples").sum(),
            peak=pl.col("peak").max(),
            peak_at=pl.col("peak_at").sort_by("peak", "peak_at", descending=[True, False],
                                              nulls_last=True).first(),
        )
        .select(EPISODE_SCHEMA.names())
    )  # fmt: skip


def settled(episodes: pl.DataFrame, horizon: pl.Expr | None = None) -> pl.DataFrame:
    """Episodes with those closed that silence has ended.

    Args:
        episodes: rows of EPISODE_SCHEMA.
        horizon: event time up to which the vehicle's samples are known.
    """
    silent = (pl.col("ended_at") + pl.col("max_gap") < horizon).fill_null(False)
    return episodes.with_columns(is_open=pl.col("is_open") & ~silent)


def advance(open_episodes: pl.DataFrame, pieces: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One step of a pass that carries its state, as over a stream.

    Args:
        open_episodes: what the step before has left open; empty at first.
        pieces: pieces of the next samples, all later than what is open, made with `marks`.

    Returns:
        Episodes that have ended, and those that are open.
    """
    carried = open_episodes.select(
        *_OF,
        pl.lit("run").alias("part"),
        "started_at",
        "ended_at",
        pl.lit(False).alias("at_left"),
        pl.lit("edge").alias("ended_by"),
        "max_gap",
        "min_duration",
        "samples",
        "peak",
        "peak_at",
    )
    episodes = stitch(pl.concat([carried, pieces.select(PIECE_SCHEMA.names())]))
    return episodes.filter(~pl.col("is_open")), episodes.filter("is_open")


def _in_time() -> pl.Expr:
    """Not silent for longer than the gap that is in force at the later piece."""
    silence = pl.col("started_at") - pl.col("ended_at").shift(1)
    return pl.col("max_gap").is_null() | (silence <= pl.col("max_gap"))
