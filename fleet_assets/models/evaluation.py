"""How good detectors are on faults whose truth is known: plain events and plain windows.

An event is found if an alarm became one while the fault was there, or within a step after it: no
point adjustment, and an alarm that was there before does not count. An alarm is true if it found an
event. What untouched days bring is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.features.kernel import STEP
from fleet_assets.models.kinds import AFTERMATH, HEALTHY, labels_of

SPAN_SCHEMA: Final = ("vehicle_id", "started_at", "ended_at", "detected_at")
"""What alarms need, whatever has made them."""


@dataclass(frozen=True)
class Outcome:
    """What a detector did on one pass over telemetry with faults.

    Attributes:
        alarms: columns of SPAN_SCHEMA.
        truth: rows of TRUTH_SCHEMA of this pass.
        scores: `vehicle_id`, `window_end`, `score` (an alarm from 1 on) of its windows; None: it
            gives none.
    """

    alarms: pl.DataFrame
    truth: pl.DataFrame
    scores: pl.DataFrame | None = None


@dataclass(frozen=True)
class Quality:
    """Figures of one detector; shares from 0 to 1, NaN where there is nothing to divide by.

    Attributes:
        faults: how many there were.
        clear_faults: of these, those that have to be found.
        recall: found share of all faults.
        clear_recall: found share of clear ones.
        precision: true share of alarms.
        delay_s: median seconds from the onset of clear faults to the alarm.
        false_alarms_per_hour: on untouched days.
        false_windows: share of windows of untouched days with a score of an alarm.
        pr_auc: average precision of windows, without those of the aftermath.
        balanced_accuracy: of windows, at the score of an alarm.
    """

    faults: int
    clear_faults: int
    recall: float
    clear_recall: float
    precision: float
    delay_s: float
    false_alarms_per_hour: float
    false_windows: float
    pr_auc: float
    balanced_accuracy: float


def events_of(outcome: Outcome, *, grace: timedelta = STEP) -> pl.DataFrame:
    """Faults with when they were found.

    Returns:
        Rows of TRUTH_SCHEMA with `detected_at` (null: missed) and `delay_s`.
    """
    met = _met(outcome, grace).group_by("fault_id").agg(pl.col("detected_at").min())
    delay = (pl.col("detected_at") - pl.col("started_at")).dt.total_microseconds() / 1e6
    return outcome.truth.join(met, on="fault_id", how="left").with_columns(delay_s=delay)


def _met(outcome: Outcome, grace: timedelta) -> pl.DataFrame:
    """Alarms with the faults that they found."""
    alarms = outcome.alarms.select(SPAN_SCHEMA).with_row_index("alarm")
    faults = outcome.truth.select("vehicle_id", "fault_id", begin="started_at", end="ended_at")
    return alarms.join(faults, on="vehicle_id").filter(
        pl.col("detected_at").is_between("begin", pl.col("end") + grace),
        pl.col("ended_at") >= pl.col("begin"),
        pl.col("started_at") <= pl.col("end") + grace,
    )


def quality(
    passes: Sequence[Outcome],
    untouched: pl.DataFrame,
    untouched_hours: float,
    untouched_scores: pl.DataFrame | None = None,
) -> Quality:
    """Figures over passes with different faults.

    Args:
        passes: what the detector did on each.
        untouched: its alarms on the same days without any fault.
        untouched_hours: hours that vehicles were heard on these days.
        untouched_scores: scores of the windows of these days.
    """
    events = pl.concat([events_of(each) for each in passes])
    clear = events.filter("is_clear")
    true = sum(_met(each, STEP)["alarm"].n_unique() for each in passes)
    alarms = sum(each.alarms.height for each in passes)
    auc, balanced = _of_windows(passes)
    return Quality(
        events.height,
        clear.height,
        _share(events["detected_at"].is_not_null()),
        _share(clear["detected_at"].is_not_null()),
        true / alarms if alarms else np.nan,
        _number(clear["delay_s"].median()),
        untouched.height / untouched_hours if untouched_hours else np.nan,
        np.nan if untouched_scores is None else _share(untouched_scores["score"] >= 1),
        auc,
        balanced,
    )


def _of_windows(passes: Sequence[Outcome]) -> tuple[float, float]:
    from sklearn.metrics import average_precision_score

    told, truths = [], []
    for each in passes:
        if each.scores is None:
            return np.nan, np.nan
        faults = labels_of(each.scores, each.truth)["fault"]
        kept = each.scores["score"].is_not_null() & (faults != AFTERMATH)
        told.append(each.scores["score"].filter(kept).to_numpy())
        truths.append((faults.filter(kept) != HEALTHY).to_numpy())
    score, truth = np.concatenate(told), np.concatenate(truths)
    if truth.all() or not truth.any():
        return np.nan, np.nan
    hot = score >= 1
    return (
        float(average_precision_score(truth, score)),
        float((hot[truth].mean() + (~hot[~truth]).mean()) / 2),
    )


def by_kind(passes: Sequence[Outcome], keys: Sequence[str] = ("kind", "signal")) -> pl.DataFrame:
    """Found and missed faults.

    Args:
        passes: what a detector did.
        keys: columns of TRUTH_SCHEMA to tell apart.

    Returns:
        The keys, and of all and of clear ones: how many, how many were found, median `delay_s`.
    """
    events = pl.concat([events_of(each) for each in passes])
    found, clear = pl.col("detected_at").is_not_null(), pl.col("is_clear")
    return (
        events.group_by(*keys)
        .agg(
            faults=pl.len(),
            found=found.sum(),
            clear=clear.sum(),
            clear_found=(found & clear).sum(),
            delay_s=pl.col("delay_s").median(),
        )
        .sort(*keys)
    )


def by_magnitude(passes: Sequence[Outcome], bands: int = 4) -> pl.DataFrame:
    """Recall by kind and quarter of its range of magnitudes, from barely visible (1) to gross.

    Each kind, signal and unit has quarters of its own drawn magnitudes.
    """
    events = pl.concat([events_of(each) for each in passes])
    rank = pl.col("magnitude").rank("ordinal").over("kind", "signal")
    count = pl.len().over("kind", "signal")
    band = ((rank - 1) * bands // count + 1).cast(pl.Int64)
    return (
        events.with_columns(band=band)
        .group_by("kind", "band")
        .agg(faults=pl.len(), recall=pl.col("detected_at").is_not_null().mean())
        .pivot("band", index="kind", values="recall", sort_columns=True)
        .sort("kind")
    )


def vehicle_days(outcome: Outcome, hours: pl.DataFrame, *, grace: timedelta = STEP) -> pl.DataFrame:
    """Figures by vehicle and day (UTC), as a comparison of two models needs them.

    Args:
        outcome: of one pass.
        hours: `vehicle_id`, `day`, `hours` heard.
        grace: as of `events_of`.

    Returns:
        The same rows with `faults`, `found`, `alarms`, `true_alarms`; faults and alarms count on
        the day of their start.
    """
    keys = ["vehicle_id", "day"]
    day = pl.col("started_at").dt.date().alias("day")
    events = events_of(outcome, grace=grace).group_by("vehicle_id", day).agg(
        faults=pl.len(), found=pl.col("detected_at").count()
    )  # fmt: skip
    true = _met(outcome, grace)["alarm"].unique().to_list()
    alarms = (
        outcome.alarms.with_row_index("alarm")
        .group_by("vehicle_id", day)
        .agg(alarms=pl.len(), true_alarms=pl.col("alarm").is_in(true).sum())
    )
    counts = ["faults", "found", "alarms", "true_alarms"]
    return (
        hours.join(events, on=keys, how="left")
        .join(alarms, on=keys, how="left")
        .with_columns(pl.col(counts).fill_null(0).cast(pl.Int64))
    )


def reliability(confidence: pl.Series, is_faulty: pl.Series, bins: int = 10) -> pl.DataFrame:
    """Data of a reliability plot.

    Returns:
        By tenth of confidence: `windows`, mean `confidence`, and the `share` that is faulty.
    """
    which = (confidence * bins).floor().clip(0, bins - 1).cast(pl.Int64)
    return (
        pl.DataFrame({"bin": which, "confidence": confidence, "faulty": is_faulty})
        .group_by("bin")
        .agg(
            windows=pl.len(),
            confidence=pl.col("confidence").mean(),
            share=pl.col("faulty").cast(pl.Float64).mean(),
        )
        .sort("bin")
    )


def _share(flags: pl.Series) -> float:
    return _number(flags.mean())


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else np.nan
