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


def pins_in_lake(lake: Lake) -> pl.DataFrame:
    """Rows of PIN_SCHEMA of all hours: `rules`, `features` by fingerprint, `baselines` by version.

    An hour that was scored by no baselines has no pin of them. The fingerprint of the rules
    includes what they know of the hour's vehicles (`lake.segments.rules_id`).
    """
    windows, segments = _marks(lake, FEATURE_WINDOWS), _marks(lake, SEGMENTS)
    rows = [
        *(
            (hour, "baselines", FOR_ALL, f"{day_of(hour)}/{version}")
            for hour, version in by_hour(windows, baselines_id).items()
            if version
        ),
        *(
            (hour, "features", FOR_ALL, _hex(print_))
            for hour, print_ in by_hour(windows, catalogue_id).items()
        ),
        *(
            (hour, "rules", FOR_ALL, _hex(print_))
            for hour, print_ in by_hour(segments, rules_id).items()
        ),
    ]
    return pl.DataFrame(rows, schema=PIN_SCHEMA, orient="row").sort(PIN_SCHEMA.names())


def model_pins(lake: Lake, hours: Collection[str]) -> pl.DataFrame:
    """Rows of PIN_SCHEMA of the models that have judged some hours.

    `model`: those whose anomalies count, by group; `trial`: those beside; `models`: fingerprint of
    all, with the vehicles that were fitted since.
    """
    tallies = lake.find(MODEL_HOURS)
    if tallies is None or not hours:
        return PIN_SCHEMA.to_frame()
    judged = tallies.read_files(
        tallies.files_of(hours), ["event_hour", "vehicle_group", "stage", "model_id"]
    )
    by_group = judged.group_by("event_hour", "vehicle_group", "stage").agg(
        version=pl.col("model_id").unique().sort().str.join(", ")
    )
    prints = by_hour(_marks(lake, MODEL_SEGMENTS), models_id)
    of_all = [
        (hour, "models", FOR_ALL, _hex(print_))
        for hour, print_ in prints.items()
        if print_ and hour in hours
    ]
    named = by_group.with_columns(
        input=pl.col("stage").replace_strict({"live": "model", "shadow": "trial"})
    ).select(PIN_SCHEMA.names())
    every = pl.concat([named, pl.DataFrame(of_all, schema=PIN_SCHEMA, orient="row")])
    return every.sort(PIN_SCHEMA.names())


def _marks(lake: Lake, table: str) -> dict[str, int]:
    found = lake.find(table)
    return {} if found is None else all_marks(found.delta)


def _hex(fingerprint: int) -> str:
    return f"{fingerprint:012x}"
