"""Events that repeat within some time: three harsh brakings in ten minutes (R08, R11, R14)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from fleet_assets.episodes.stitch import stitch
from fleet_assets.rules.catalogue import Catalogue, Rule
from fleet_assets.rules.findings import findings, ladder, of_rule


def findings_of(pieces: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """All findings of a history.

    Args:
        pieces: rows of PIECE_SCHEMA of all of its windows.
        catalogue: the rules.

    Returns:
        Rows of FINDING_SCHEMA.
    """
    counted = [rule for rule in catalogue.rules if rule.stage != "off"]
    return with_repeated(findings(stitch(pieces), ladder(catalogue)), counted)


def with_repeated(found: pl.DataFrame, rules: Iterable[Rule]) -> pl.DataFrame:
    """Findings and what their repetition amounts to.

    The event that completes the number opens a finding, which began with the first of them, and
    goes on with each further event that completes the number again.

    Args:
        found: rows of FINDING_SCHEMA of all events of a vehicle's stretch of time.
        rules: those with `repeats` name the rule whose findings count.
    """
    parts = [found]
    for rule in rules:
        if rule.repeats is None:
            continue
        count, window_s = (rule.parameters[name].value for name in ("count", "window_s"))
        assert count is not None
        assert window_s is not None
        events = found.filter(pl.col("condition") == rule.repeats)
        made = series(events, int(count), timedelta(seconds=window_s))
        parts.append(of_rule(made.with_columns(condition=pl.lit(rule.id)), rule))
    return pl.concat(parts).sort("vehicle_id", "condition", "started_at")


def series(events: pl.DataFrame, count: int, window: timedelta) -> pl.DataFrame:
    """Runs of events, each of which is one of so many within the window.

    Runs that share an event are one.

    Args:
        events: `vehicle_id`, `condition`, `started_at`, `ended_at`, `detected_at`, `is_open`.
        count: how many events make a run.
        window: longest time between the onsets of the first and the last of them.

    Returns:
        Rows with the columns of the events, from the onset of the first to the end of the last;
        `detected_at` is that of the event which first completed the number. `samples` is the number
        of events, `peak` the most of them within one window, first reached at `peak_at`.
    """
    of = ["vehicle_id", "condition"]
    first = pl.col("started_at").shift(count - 1)
    completes = (pl.col("started_at") - first <= window).fill_null(False)

    def helps(most: int) -> pl.Expr:
        """Whether this event or one of the next, so many in all, completes the number."""
        flags = pl.col("completes").cast(pl.Int8).reverse()
        return flags.rolling_max(most, min_samples=1).reverse() == 1

    counted = events.sort(*of, "started_at").with_columns(each=pl.lit(1))
    ordered = counted.with_columns(
        completes=completes.over(of),
        within=pl.col("each").rolling_sum_by("started_at", window, closed="both").over(of),
    )
    joined = ordered.with_columns(
        belongs=helps(count).over(of),
        goes_on=helps(count - 1).over(of) if count > 1 else pl.lit(False),
    )
    return (
        joined.with_columns(run=(pl.col("belongs") & ~pl.col("goes_on")).cum_sum())
        .filter("belongs")
        .group_by(*of, "run", maintain_order=True)
        .agg(
            pl.col("started_at").first(),
            pl.col("ended_at").max(),
            pl.col("detected_at").filter("completes").first(),
            pl.col("is_open").last(),
            samples=pl.len(),
            peak=pl.col("within").max().cast(pl.Float64),
            peak_at=pl.col("started_at").get(pl.col("within").arg_max()),
        )
        .drop("run")
    )
