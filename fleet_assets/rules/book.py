"""All that judging needs to know besides telemetry, and what of it counts in one hour."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import CATALOGUE, Catalogue, in_force, read_catalogue
from fleet_assets.rules.detect import FORM
from fleet_assets.rules.resolve import OVERRIDE_SCHEMA, SCOPES, InForce
from partitions.hours import HOUR, hour_start

RELEASES: Final = CATALOGUE.with_name("releases")
STAGE_SCHEMA: Final = pl.Schema(
    {"rule_id": pl.String(), "valid_from": TIME, "stage": pl.String()}
)  # fmt: skip
"""Stages in place of the catalogue's, from an event time on; null: the catalogue's again."""
LOOK_BACK: Final = timedelta(minutes=10)
"""How far a detector may look back beyond the hour."""
_BYTES: Final = 7
"""Of a fingerprint: it has to fit into the version of a Delta transaction."""


def releases(folder: Path = RELEASES, working: Path = CATALOGUE) -> tuple[Catalogue, ...]:
    """All releases of the catalogue; the working file stands for the one whose number it has."""
    found = [read_catalogue(path) for path in sorted(folder.glob("*.yaml"))]
    newest = read_catalogue(working)
    return (*(known for known in found if known.release != newest.release), newest)


@dataclass(frozen=True)
class Judgement:
    """What decides, besides numbers, which findings count: hours that share it are of one kind.

    Attributes:
        release: of the catalogue.
        live: ids of the rules whose findings become anomalies.
        shadow: ids of the rules on trial.
    """

    release: int
    live: frozenset[str]
    shadow: frozenset[str]


@dataclass(frozen=True)
class RuleBook:
    """What the rules were and are.

    Attributes:
        catalogues: all releases.
        vehicles: rows of VEHICLE_SCHEMA.
        overrides: rows of OVERRIDE_SCHEMA.
        stages: rows of STAGE_SCHEMA.
    """

    catalogues: tuple[Catalogue, ...]
    vehicles: pl.DataFrame
    overrides: pl.DataFrame = field(default_factory=OVERRIDE_SCHEMA.to_frame)
    stages: pl.DataFrame = field(default_factory=STAGE_SCHEMA.to_frame)

    def catalogue(self, event_hour: str) -> Catalogue:
        """The release that judges an hour."""
        return in_force(list(self.catalogues), hour_start(event_hour))

    def known(self, event_hour: str, interval_s: Mapping[str, float]) -> InForce:
        """What else counts in an hour: stages are those at its beginning.

        Args:
            event_hour: key of the hour.
            interval_s: vehicle → its usual time between messages.
        """
        return InForce(self.vehicles, self.overrides, self._stages(event_hour), interval_s)

    def judgement(self, event_hour: str) -> Judgement:
        """What counts in an hour."""
        catalogue, own = self.catalogue(event_hour), self._stages(event_hour)
        stages = {rule.id: own.get(rule.id, rule.stage) for rule in catalogue.rules}
        return Judgement(
            catalogue.release,
            frozenset(rule for rule, stage in stages.items() if stage == "live"),
            frozenset(rule for rule, stage in stages.items() if stage == "shadow"),
        )

    def fingerprint(self, event_hour: str, vehicle_ids: Iterable[str]) -> int:
        """Changes with anything that the rules' numbers in an hour depend on.

        Args:
            event_hour: key of the hour.
            vehicle_ids: the vehicles that it holds; others do not count.
        """
        end = hour_start(event_hour) + HOUR
        mine = pl.DataFrame(
            {"vehicle_id": sorted(set(vehicle_ids))}, schema={"vehicle_id": pl.String}
        )
        vehicles = self._vehicles(event_hour).join(mine, on="vehicle_id", how="semi")
        meant = [
            (pl.col("scope") == scope)
            & pl.col("scope_value").is_in(vehicles[column].drop_nulls().unique().to_list())
            for scope, column in SCOPES.items()
        ]
        overrides = self.overrides.filter((pl.col("valid_from") < end) & pl.any_horizontal(meant))
        told = hashlib.sha256()
        for text in (
            str(FORM),
            self._as_json[self.catalogue(event_hour).release],
            vehicles.sort("vehicle_id", "valid_from").write_csv(),
            overrides.sort(OVERRIDE_SCHEMA.names()).write_csv(),
            str(sorted(self._stages(event_hour).items())),
        ):
            told.update(text.encode() + b"\0")
        return int.from_bytes(told.digest()[:_BYTES])

    @property
    def whole_fingerprint(self) -> str:
        """Changes with anything that is known, whatever hours it counts in."""
        told = hashlib.sha256(str(FORM).encode())
        for text in self._as_json.values():
            told.update(text.encode())
        for frame in (self.vehicles, self.overrides, self.stages):
            told.update(frame.write_csv().encode())
        return told.hexdigest()

    @cached_property
    def _as_json(self) -> dict[int, str]:
        return {known.release: known.model_dump_json() for known in self.catalogues}

    @cached_property
    def _spans(self) -> pl.DataFrame:
        """Versions of vehicles, `since` when and `until` when; null: from ever, for ever."""
        begins = pl.col("valid_from")
        is_first = begins == begins.min().over("vehicle_id")
        return self.vehicles.sort("vehicle_id", "valid_from").with_columns(
            until=begins.shift(-1).over("vehicle_id"), since=pl.when(~is_first).then(begins)
        )

    def _vehicles(self, event_hour: str) -> pl.DataFrame:
        """Versions of vehicles that count in the hour; since when, if since a moment in it."""
        end = hour_start(event_hour) + HOUR
        start = end - HOUR - LOOK_BACK
        counts = (pl.col("until").is_null() | (pl.col("until") > start)) & (
            pl.col("since").is_null() | (pl.col("since") < end)
        )
        return (
            self._spans.filter(counts)
            .with_columns(valid_from=pl.when(pl.col("since") > start).then("since"))
            .drop("until", "since")
        )

    def _stages(self, event_hour: str) -> dict[str, str]:
        start = hour_start(event_hour)
        newest = (
            self.stages.filter(pl.col("valid_from") <= start)
            .sort("valid_from")
            .group_by("rule_id", maintain_order=True)
            .last()
            .drop_nulls("stage")
        )
        return dict(newest.select("rule_id", "stage").iter_rows())
