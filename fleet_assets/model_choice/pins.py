"""Which model serves a vehicle at an event time: nothing but the audit decides.

At each event hour that state counts which was decided last among those valid by then. A change
never reaches event times before its `valid_from`, so late data is computed with the model that its
hour was computed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.injection.draws import chance
from fleet_assets.model_choice.audit import AuditRow, Serving, rows_of


@dataclass(frozen=True)
class Pin:
    """Models of one vehicle in one event hour.

    Attributes:
        model: whose anomalies count.
        beside: the other one while there is a trial, computed on the same data to be compared.
    """

    model: str
    beside: str | None = None


PIN_SCHEMA: Final = pl.Schema({"model": pl.String(), "beside": pl.String()})


def serving_at(rows: Sequence[AuditRow], group: str, moment: datetime) -> Serving | None:
    """What serves a group at an event time; None before its first model."""
    for row in reversed(rows_of(rows, group)):
        if row.valid_from <= moment:
            return row.after
    return None


def pin(rows: Sequence[AuditRow], group: str, vehicle_id: str, moment: datetime) -> Pin | None:
    """The models of a vehicle at an event time; None before the first one of its group."""
    state = serving_at(rows, group, moment)
    return None if state is None else _pin(state, vehicle_id)


def in_share(vehicle_id: str, challenger: str, share: float) -> bool:
    """Whether a vehicle is among those that try a challenger first; each model tries others."""
    return chance("rollout", challenger, vehicle_id) < share


def pins(rows: Sequence[AuditRow], hours: pl.DataFrame) -> pl.DataFrame:
    """The models of many vehicles and hours.

    Args:
        rows: the audit.
        hours: `vehicle_id`, `group`, and `moment`, the beginning of an event hour (UTC).

    Returns:
        The same rows with `model` and `beside`; both null before the first model of the group.
    """
    states = [
        (group, moment, serving_at(rows, group, moment))
        for group, moment in hours.select("group", "moment").unique().iter_rows()
    ]
    by_state = {
        state: pl.DataFrame(
            [(group, moment) for group, moment, found in states if found == state],
            schema={name: hours.schema[name] for name in ("group", "moment")},
            orient="row",
        )
        for state in {state for *_, state in states if state is not None}
    }
    keys = ["vehicle_id", "group", "moment"]
    parts = []
    for state, where in by_state.items():
        mine = hours.select(keys).unique().join(where, on=["group", "moment"], how="semi")
        each = mine.select("vehicle_id").unique()
        found = [_pin(state, vehicle) for vehicle in each["vehicle_id"]]
        models = each.with_columns(
            model=pl.Series([of.model for of in found], dtype=pl.String),
            beside=pl.Series([of.beside for of in found], dtype=pl.String),
        )
        parts.append(mine.join(models, on="vehicle_id"))
    empty = hours.select(keys).clear().with_columns(
        pl.lit(None, kind).alias(name) for name, kind in PIN_SCHEMA.items()
    )  # fmt: skip
    return hours.join(
        pl.concat([empty, *parts]), on=keys, how="left", maintain_order="left", nulls_equal=True
    )


def _pin(state: Serving, vehicle_id: str) -> Pin:
    if state.challenger is None:
        return Pin(state.champion)
    if state.stage == "part" and in_share(vehicle_id, state.challenger, state.share):
        return Pin(state.challenger, state.champion)
    return Pin(state.champion, state.challenger)
