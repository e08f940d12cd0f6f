"""Which versions of its inputs each hour was made by, as the marks of its commits tell."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from fleet_assets.lake.feature_windows import FEATURE_WINDOWS, baselines_id, catalogue_id
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour
from fleet_assets.lake.model_marks import MODEL_HOURS, MODEL_SEGMENTS, models_id
from fleet_assets.lake.segments import SEGMENTS, rules_id
from fleet_assets.lake.store import Lake
from partitions.days import day_of

PIN_SCHEMA: Final = pl.Schema(dict.fromkeys(
    ("event_hour", "input", "vehicle_group", "version"), pl.String()
))  # fmt: skip
FOR_ALL: Final = ""
"""Group of an input that is one for all vehicles."""
_INPUT_OF_STAGE: Final = {"live": "model", "shadow": "trial"}


def pins_in_lake(lake: Lake, hours: Collection[str] | None = None) -> pl.DataFrame:
    """Versions of the inputs of hours.

    `rules`, `features`: fingerprints; what the rules know of the hour's vehicles is included
    (`lake.segments.rules_id`). `baselines`: a version of its day; none where there were no
    baselines. `model`: those whose anomalies count, by group; `trial`: those beside; `models`:
    fingerprint of all, with the vehicles that were fitted since.

    Args:
        lake: the lake.
        hours: only these; None: all.

    Returns:
        Rows of PIN_SCHEMA in order.
    """
    windows, segments = _marks(lake, FEATURE_WINDOWS), _marks(lake, SEGMENTS)
    judged = _marks(lake, MODEL_SEGMENTS)
    prints = {
        "features": by_hour(windows, catalogue_id),
        "rules": by_hour(segments, rules_id),
        "models": {hour: print_ for hour, print_ in by_hour(judged, models_id).items() if print_},
    }
    rows = [
        (hour, name, FOR_ALL, f"{print_:012x}")
        for name, of_hours in prints.items()
        for hour, print_ in of_hours.items()
    ] + [
        (hour, "baselines", FOR_ALL, f"{day_of(hour)}/{version}")
        for hour, version in by_hour(windows, baselines_id).items()
        if version
    ]
    for_all = pl.DataFrame(rows, schema=PIN_SCHEMA, orient="row")
    if hours is not None:
        for_all = for_all.filter(pl.col("event_hour").is_in(list(hours)))
    return pl.concat([for_all, _of_groups(lake, hours)]).sort(PIN_SCHEMA.names())


def _of_groups(lake: Lake, hours: Collection[str] | None) -> pl.DataFrame:
    tallies = lake.find(MODEL_HOURS)
    if tallies is None:
        return PIN_SCHEMA.to_frame()
    files = tallies.files if hours is None else tallies.files_of(hours)
    whose = ["event_hour", "vehicle_group", "stage", "model_id"]
    return (
        tallies.read_files(files, whose)
        .group_by(whose[:-1])
        .agg(version=pl.col("model_id").unique().sort().str.join(", "))
        .with_columns(input=pl.col("stage").replace_strict(_INPUT_OF_STAGE))
        .select(PIN_SCHEMA.names())
    )


def _marks(lake: Lake, table: str) -> dict[str, int]:
    found = lake.find(table)
    return {} if found is None else all_marks(found.delta)
