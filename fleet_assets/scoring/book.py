"""Which models judge which vehicles of an hour: nothing but the audit and the register decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.model_choice.audit import AuditRow, Serving, audit_frame
from fleet_assets.model_choice.pins import pins, serving_at
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.isolation import FLEET
from partitions.hours import hour_start

FORM: Final = 1
"""Raised when the same model gives other pieces, so that hours are judged anew."""
ASSIGNED_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(), "vehicle_group": pl.String(), "model_id": pl.String(),
        "stage": pl.String(),
    }
)  # fmt: skip
"""One row for each vehicle and model: `live`, whose alarms count, or `shadow`, computed beside."""
_NO_END: Final = "9999-12-31"
_BYTES: Final = 7
"""Of a fingerprint: it has to fit into the version of a Delta transaction."""


@dataclass(frozen=True)
class ModelBook:
    """All that scoring needs to know besides telemetry.

    Attributes:
        audit: which models served when.
        vehicles: `vehicle_id`, `valid_from` and `vehicle_type`: every version of every vehicle.
        files: from a model and a day (2026-01-31) to the names of what it is made of then.
        load: from a model, a day and vehicles to the model, in which others may be missing.
    """

    audit: Sequence[AuditRow]
    vehicles: pl.DataFrame
    files: Callable[[str, str], Sequence[str]]
    load: Callable[[str, str, Sequence[str]], FleetModel]

    def serving(self, event_hour: str) -> dict[str, Serving]:
        """What serves each group in an hour."""
        groups = sorted({row.group for row in self.audit})
        states = {group: serving_at(self.audit, group, hour_start(event_hour)) for group in groups}
        return {group: state for group, state in states.items() if state is not None}

    def groups(self, event_hour: str, vehicle_ids: Iterable[str]) -> pl.DataFrame:
        """`vehicle_id` and `vehicle_group` of vehicles, by the register at the hour's beginning."""
        start = hour_start(event_hour)
        known = (
            self.vehicles.filter(
                (pl.col("valid_from") <= start)
                | (pl.col("valid_from") == pl.col("valid_from").min().over("vehicle_id"))
            )
            .sort("valid_from")
            .unique("vehicle_id", keep="last")
        )
        mine = pl.DataFrame({"vehicle_id": sorted(set(vehicle_ids))}, {"vehicle_id": pl.String()})
        return mine.join(known, on="vehicle_id", how="left", maintain_order="left").select(
            "vehicle_id", vehicle_group=pl.col("vehicle_type").fill_null(FLEET)
        )

    def assigned(self, event_hour: str, vehicle_ids: Iterable[str]) -> pl.DataFrame:
        """Models of the vehicles of an hour: rows of ASSIGNED_SCHEMA; none without a model."""
        groups = self.groups(event_hour, vehicle_ids)
        asked = groups.select(
            "vehicle_id", group="vehicle_group", moment=pl.lit(hour_start(event_hour))
        )
        found = pins(self.audit, asked).rename({"group": "vehicle_group"})
        return pl.concat(
            found.filter(pl.col(name).is_not_null()).select(
                "vehicle_id", "vehicle_group", model_id=name, stage=pl.lit(stage)
            )
            for name, stage in (("model", "live"), ("beside", "shadow"))
        ).sort("vehicle_id", "stage")

    def fingerprint(self, event_hour: str, vehicle_ids: Iterable[str]) -> int:
        """Changes with what judges the hour's vehicles; 0: nothing does."""
        serving = self.serving(event_hour)
        if not serving:
            return 0
        groups = self.groups(event_hour, vehicle_ids)
        states = {
            group: serving[group] for group in serving if group in set(groups["vehicle_group"])
        }
        if not states:
            return 0
        models = sorted({m for s in states.values() for m in (s.champion, s.challenger) if m})
        files = [(model, *self.files(model, event_hour[:10])) for model in models]
        told = hashlib.sha256(str((FORM, sorted(states.items(), key=str), files)).encode())
        told.update(groups.write_csv().encode())
        return int.from_bytes(told.digest()[:_BYTES])

    @property
    def whole_fingerprint(self) -> str:
        """Changes with the audit, the register and what was fitted since, whatever the hour."""
        states = [row.after for row in self.audit if row.after is not None]
        models = sorted({m for s in states for m in (s.champion, s.challenger) if m})
        fitted = [(model, *self.files(model, _NO_END)) for model in models]
        told = hashlib.sha256(str((FORM, fitted)).encode())
        for frame in (audit_frame(self.audit), self.vehicles):
            told.update(frame.write_csv().encode())
        return told.hexdigest()
