"""Days that no training sees, healthy and with faults, and what models find on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.features.kernel import STEP
from fleet_assets.injection.draws import digest
from fleet_assets.injection.plan import Chosen
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, Wanted, choose, chunks
from fleet_assets.model_choice.paired import PAIRED_SCHEMA
from fleet_assets.model_flow.frames import faulty_frame, healthy_frame
from fleet_assets.model_flow.incidents import Known
from fleet_assets.models.alarms import alarms_of
from fleet_assets.models.evaluation import Outcome, vehicle_days
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.frame import KEY
from fleet_assets.models.kinds import AFTERMATH, HEALTHY, labels_of
from fleet_assets.models.training import Copy, Progress, silent

PASSES: Final = 2
_AT_ONCE: Final = 100_000
"""About so many windows are judged at a time."""
_DAY: Final = pl.col("window_end").dt.offset_by("-1us").dt.date()


class NothingToCompareError(FleetError):
    """There are no days on which models could be compared."""


@dataclass(frozen=True)
class EvaluationData:
    """What models are compared on.

    Attributes:
        healthy: a model frame of the days as they were; what is heard on them is a false alarm.
        passes: windows of the same days with faults, and those before each.
        types: group by vehicle.
    """

    healthy: pl.DataFrame
    passes: tuple[Copy, ...]
    types: Mapping[str, str]

    def hours(self) -> pl.DataFrame:
        """`vehicle_id`, `day`, `hours` heard."""
        step_hours = STEP.total_seconds() / 3600
        counts = self.healthy.group_by("vehicle_id", day=_DAY).len("windows")
        hours = pl.col("windows") * step_hours
        return counts.select("vehicle_id", "day", hours=hours).sort("vehicle_id", "day")

    def of(self, vehicles: Sequence[str]) -> EvaluationData:
        """Some of the vehicles."""
        mine = pl.col("vehicle_id").is_in(list(vehicles))
        passes = [Copy(c.frame.filter(mine), c.truth.filter(mine)) for c in self.passes]
        return EvaluationData(self.healthy.filter(mine), tuple(passes), self.types)


@dataclass(frozen=True)
class Found:
    """What a model says of evaluation data.

    Attributes:
        untouched: of the days as they were; it has no truth.
        passes: of the days with faults.
    """

    untouched: Outcome
    passes: tuple[Outcome, ...]


def evaluation_data(
    lake: Lake,
    span: Span,
    types: Mapping[str, str],
    known: Known,
    name: str,
    *,
    vehicles_of_group: int = 60,
    hours_of_group: float = 300.0,
    passes: int = PASSES,
    progress: Progress = silent,
) -> EvaluationData:
    """Days of a span that never are for training, with faults that training never has.

    Args:
        lake: the lake.
        span: the days.
        types: group by vehicle; only these.
        known: incidents, which are cut out.
        name: draws vehicles, days and faults.
        vehicles_of_group: most vehicles, as a mean over the groups.
        hours_of_group: about so many driven hours in each group.
        passes: how often the days get other faults.
        progress: is told how far it is.

    Raises:
        NothingToCompareError: there is no such day, or nothing healthy on any.
    """
    groups = len(set(types.values()))
    wanted = Wanted(
        "evaluate", name, vehicles_of_group * groups, hours_of_group * groups, (2.0, 40.0)
    )
    chosen = choose(lake, span, types, wanted)
    if not chosen:
        raise NothingToCompareError(
            f"No vehicle was driven on a day for evaluation from {span.first_day} to"
            f" {span.last_day}: there is nothing to compare models on."
        )
    what = Chosen(split="evaluate", untouched=0.0)
    seeds = [int.from_bytes(digest("faults", name, n)[:4], "big") for n in range(passes)]
    healthy: list[pl.DataFrame] = []
    faulty: list[list[Copy]] = [[] for _ in seeds]
    done = 0
    for chunk in chunks(lake, chosen):
        healthy.append(healthy_frame(chunk, known.incidents))
        for copies, seed in zip(faulty, seeds, strict=True):
            copies.append(
                faulty_frame(chunk, chunk.days, seed, what, known.incidents, around_faults=True)
            )
        done += len(chunk.days)
        progress(f"{done} of {len(chosen)} vehicle-days for evaluation", done / len(chosen))
    if not sum(frame.height for frame in healthy):
        raise NothingToCompareError(
            f"Nothing healthy is left of the {len(chosen)} vehicle-days for evaluation from"
            f" {span.first_day} to {span.last_day}: incidents cover all of their windows."
        )
    merged = [
        Copy(pl.concat([c.frame for c in copies]).sort(KEY), pl.concat([c.truth for c in copies]))
        for copies in faulty
    ]
    return EvaluationData(pl.concat(healthy).sort(KEY), tuple(merged), dict(types))


def found_by(model: FleetModel, data: EvaluationData) -> Found:
    """Lets a model judge evaluation data, some vehicles at a time."""
    untouched = _outcome(model, Copy(data.healthy, data.passes[0].truth.clear()))
    return Found(untouched, tuple(_outcome(model, copy) for copy in data.passes))


def windows_of(found: Found) -> pl.DataFrame:
    """`score`, `confidence`, `is_faulty`: healthy windows of the days as they were, faulty ones of
    the passes. Those after a fault are neither."""
    parts = []
    for outcome in (found.untouched, *found.passes):
        assert outcome.scores is not None
        fault = labels_of(outcome.scores, outcome.truth)["fault"]
        is_pass = outcome is not found.untouched
        wanted = ~fault.is_in([HEALTHY, AFTERMATH]) if is_pass else fault == HEALTHY
        scores = outcome.scores.select("score", "confidence").filter(wanted)
        parts.append(scores.with_columns(is_faulty=pl.lit(is_pass)))
    return pl.concat(parts).drop_nulls()


def _outcome(model: FleetModel, copy: Copy) -> Outcome:
    part = (pl.int_range(pl.len()) // _AT_ONCE).first().over("vehicle_id")
    parts = copy.frame.with_columns(part=part).partition_by("part", include_key=False)
    if not parts:
        scores = model.judged(copy.frame)
    else:
        scores = pl.concat([model.judged(some) for some in parts])
    return Outcome(alarms_of(scores, 1.0), copy.truth, scores)


def paired_rows(data: EvaluationData, champion: Found, challenger: Found) -> pl.DataFrame:
    """Rows of PAIRED_SCHEMA: faults and who found them, hours and false alarms of either.

    A day counts in the group of its vehicle. Alarms of days as they were are false; what was known
    to be wrong is cut out of them.
    """
    rows = data.hours()
    for name, found in (("champion", champion), ("challenger", challenger)):
        quiet = vehicle_days(found.untouched, data.hours())
        events = pl.concat([vehicle_days(each, data.hours()) for each in found.passes])
        summed = events.group_by("vehicle_id", "day").agg(pl.col("faults", "found").sum())
        rows = rows.join(
            summed.select(
                "vehicle_id", "day", pl.col("faults").alias("events"),
                pl.col("found").alias(f"{name}_found"),
            ).drop("events" if name == "challenger" else []),
            on=["vehicle_id", "day"], how="left",
        ).join(
            quiet.select("vehicle_id", "day", pl.col("alarms").alias(f"{name}_alarms")),
            on=["vehicle_id", "day"], how="left",
        )  # fmt: skip
    named = rows.with_columns(group=pl.col("vehicle_id").replace_strict(dict(data.types)))
    return named.select(pl.col(n).cast(kind) for n, kind in PAIRED_SCHEMA.items())
