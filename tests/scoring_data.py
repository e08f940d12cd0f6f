"""A small trained model, and messages of a vehicle whose sensor fails, for tests of scoring."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl

from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.model_choice.audit import Request
from fleet_assets.model_choice.rollout import first
from fleet_assets.model_store import save_model
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import Copy, Recipe, train
from fleet_assets.warehouse.model_audit import change_audit
from fleet_assets.warehouse.model_versions import ModelVersion, note_version
from tests.injection_data import healthy
from tests.model_data import frame_of, telemetry_days

SIGNALS = ("engine_rpm", "speed", "throttle_position", "coolant_temp")
START = datetime(2026, 2, 2, 4, 35, tzinfo=UTC)
"""25 minutes before the turn of the hour."""
FAILS = timedelta(minutes=20, seconds=4)
LASTS = timedelta(minutes=12)


@cache
def small_model(seed: int = 3) -> FleetModel:
    """Knows v1 and v2, by four days of each, and three kinds of faults."""
    drives = [telemetry_days(v, 4, signals=SIGNALS, seed=n) for v, n in (("v1", 0), ("v2", 20))]
    early = pl.concat(drives)
    every_day = read_catalogue().model_copy(update={"evaluation_share": 0.0})
    copies = []
    for drawn in (1, 2, 3):
        chosen = Chosen(kinds=("bias", "dropout", "stuck"), split="train", untouched=0.0)
        changed, truth = inject(early, plan(early, drawn, chosen, every_day))
        copies.append(Copy(frame_of(changed), truth))
    return train(frame_of(early), copies, {"v1": "sedan"}, Recipe(seed=seed, folds=2))


def failing_drive(
    vehicle_id: str = "v1", seed: int = 90, start: datetime = START, *, fails: bool = True
) -> Iterator[tuple[datetime, bytes]]:
    """50 minutes at 1 Hz; from FAILS on its engine speed is null for LASTS."""
    rows = healthy(vehicle_id, minutes=50, signals=SIGNALS, seed=seed, begin=start)
    for row in rows.select("vehicle_id", "event_time", *SIGNALS).iter_rows(named=True):
        when = row.pop("event_time")
        value = {n: v if isinstance(v, str) else float(v) for n, v in row.items()}
        if fails and start + FAILS <= when < start + FAILS + LASTS:
            value["engine_rpm"] = None
        yield when, json.dumps(value | {"timestamp": when.isoformat()}).encode()


def let_serve(
    model: FleetModel, lake_url: str, postgres_url: str, groups: Sequence[str], since: datetime
) -> str:
    """Saves a model and lets it serve groups that none has served; gives its id."""
    version_id = save_model(Artifacts(lake_url), model, {})
    now = datetime.now(UTC)
    note_version(
        postgres_url,
        ModelVersion(
            version_id, {"seed": 3}, "ts-test", "test", now, "test", now, now, tuple(groups)
        ),
    )
    for group in groups:
        request = Request(group, now, "test", "none has served it", since)
        change_audit(postgres_url, lambda rows, r=request: first(rows, r, version_id))  # type: ignore[misc]
    return version_id
