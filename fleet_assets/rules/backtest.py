"""What a change of the rules would have changed: findings of two catalogues, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

CHANGES: Final = ("added", "removed", "changed", "same")
_OF = ["vehicle_id", "condition"]
_SHOWN = ["rule_id", "severity", "started_at", "ended_at"]


def compare(in_force: pl.DataFrame, proposed: pl.DataFrame) -> pl.DataFrame:
    """Matches findings of the same condition of the same vehicle that overlap.

    A finding that overlaps several is matched with the one that it shares most time with.

    Args:
        in_force: rows of FINDING_SCHEMA.
        proposed: rows of FINDING_SCHEMA.

    Returns:
        `vehicle_id`, `condition`, `anomaly_type`, `change`, and `rule_id`, `severity`,
        `started_at`, `ended_at` before (`…_before`) and after (`…_after`).
    """
    before = in_force.select(*_OF, "anomaly_type", *_SHOWN).with_row_index("b")
    after = proposed.select(*_OF, "anomaly_type", *_SHOWN).with_row_index("a")
    pairs = (
        before.join(after, on=_OF, suffix="_after")
        .filter(
            (pl.col("started_at") <= pl.col("ended_at_after"))
            & (pl.col("started_at_after") <= pl.col("ended_at"))
        )
        .with_columns(
            shared=pl.min_horizontal("ended_at", "ended_at_after")
            - pl.max_horizontal("started_at", "started_at_after")
        )
        .sort("shared", "b", "a", descending=[True, False, False])
        .unique("b", keep="first", maintain_order=True)
        .unique("a", keep="first", maintain_order=True)
        .select("b", "a")
    )
    matched = before.rename({n: f"{n}_before" for n in _SHOWN}).join(pairs, on="b", how="left")
    both = matched.join(
        after.select("a", *(pl.col(n).alias(f"{n}_after") for n in _SHOWN)), on="a", how="left"
    )
    differs = pl.any_horizontal(pl.col(f"{n}_before") != pl.col(f"{n}_after") for n in _SHOWN)
    known = both.with_columns(
        change=pl.when(pl.col("a").is_null())
        .then(pl.lit("removed"))
        .when(differs)
        .then(pl.lit("changed"))
        .otherwise(pl.lit("same"))
    )
    new = (
        after.join(pairs, on="a", how="anti")
        .rename({n: f"{n}_after" for n in _SHOWN})
        .with_columns(change=pl.lit("added"))
    )
    columns = [
        *_OF, "anomaly_type", "change",
        *(f"{n}_before" for n in _SHOWN), *(f"{n}_after" for n in _SHOWN),
    ]  # fmt: skip
    return (
        pl.concat([known.drop("b", "a"), new.drop("a")], how="diagonal")
        .select(columns)
        .sort(*_OF, pl.coalesce("started_at_after", "started_at_before"))
    )


@dataclass(frozen=True)
class Report:
    """A comparison in numbers.

    Attributes:
        by_rule: `anomaly_type`, `rule_id`, `in_force`, `proposed`, `added`, `removed`, `changed`,
            and findings per 100 vehicle-days before and after.
        by_type: the same without the rule.
        by_vehicle: the vehicles with most changes: `vehicle_id`, `added`, `removed`, `changed`.
        by_day: `day`, `in_force`, `proposed`: findings by day of onset (UTC).
        vehicle_days: days of vehicles with telemetry.
        by_truth: what `precision.by_truth` gives, if the faults are known.
        by_feedback: what `precision.by_feedback` gives.
    """

    by_rule: pl.DataFrame
    by_type: pl.DataFrame
    by_vehicle: pl.DataFrame
    by_day: pl.DataFrame
    vehicle_days: float
    by_truth: pl.DataFrame = field(default_factory=pl.DataFrame)
    by_feedback: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def tables(self) -> tuple[tuple[str, pl.DataFrame], ...]:
        """Titles and tables, in the order in which they are shown; without empty ones."""
        titled = (
            ("By type", self.by_type),
            ("By rule", self.by_rule),
            ("Against known faults", self.by_truth),
            ("Against what people have marked", self.by_feedback),
            ("Vehicles with most changes", self.by_vehicle),
        )
        return tuple((title, frame) for title, frame in titled if not frame.is_empty())

    @property
    def changes(self) -> int:
        """Findings added, removed or changed."""
        return int(
            self.by_type.select(pl.sum_horizontal("added", "removed", "changed")).sum().item()
        )


def report(changes: pl.DataFrame, vehicle_days: float, most_vehicles: int = 10) -> Report:
    """Sums of a comparison.

    Args:
        changes: what `compare` gives.
        vehicle_days: days of vehicles with telemetry.
        most_vehicles: how many of the most affected vehicles are named.
    """
    named = changes.with_columns(rule_id=pl.coalesce("rule_id_after", "rule_id_before"))
    per_100 = 100 / max(vehicle_days, 1e-9)
    counts = [
        pl.col("started_at_before").count().alias("in_force"),
        pl.col("started_at_after").count().alias("proposed"),
        *((pl.col("change") == name).sum().alias(name) for name in ("added", "removed", "changed")),
    ]
    rates = [
        (pl.col(name) * per_100).round(2).alias(f"{name}_per_100_vehicle_days")
        for name in ("in_force", "proposed")
    ]
    by_type = named.group_by("anomaly_type").agg(*counts).with_columns(rates)
    by_rule = named.group_by("anomaly_type", "rule_id").agg(*counts).with_columns(rates)
    affected = named.filter(pl.col("change") != "same").group_by("vehicle_id").agg(*counts[2:])
    total = pl.sum_horizontal("added", "removed", "changed")
    days = [
        named.select(day=pl.col(f"started_at_{side}").dt.date())
        .drop_nulls()
        .group_by("day")
        .agg(pl.len().alias(name))
        for side, name in (("before", "in_force"), ("after", "proposed"))
    ]
    by_day = days[0].join(days[1], on="day", how="full", coalesce=True).fill_null(0).sort("day")
    return Report(
        by_rule.sort("rule_id"),
        by_type.sort("anomaly_type"),
        affected.sort(total, pl.col("vehicle_id"), descending=[True, False]).head(most_vehicles),
        by_day,
        vehicle_days,
    )
