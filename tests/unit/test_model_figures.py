"""Figures of a card: by group, of vehicles that the training knows, or of all if those are few."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from fleet_assets.injection.truth import TRUTH_SCHEMA
from fleet_assets.lake.store import Lake
from fleet_assets.model_choice.first import HeldOut
from fleet_assets.model_flow import figures
from fleet_assets.model_flow.evaluation_data import (
    PASSES,
    EvaluationData,
    Found,
    NothingToCompareError,
)
from fleet_assets.model_flow.figures import EVERYBODY, KNOWN, PASSES_OF_FEW, by_group, figures_of
from fleet_assets.models.evaluation import SPAN_SCHEMA, Outcome

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
TYPES = {"t1": "truck", "t2": "truck", "v1": "van"}


def data(hours: Mapping[str, float], types: Mapping[str, str] = TYPES) -> EvaluationData:
    windows = [
        (who, BEGIN + n * timedelta(seconds=10))
        for who, long in hours.items()
        for n in range(1, round(long * 360) + 1)
    ]
    frame = pl.DataFrame(windows, schema=["vehicle_id", "window_end"], orient="row")
    return EvaluationData(frame, (), types)


def alarms(*vehicles: str, after: timedelta = timedelta()) -> pl.DataFrame:
    at = BEGIN + after
    rows = [(who, at, at + timedelta(minutes=1), at) for who in vehicles]
    kinds = [pl.String, *[pl.Datetime("us", "UTC")] * 3]
    return pl.DataFrame(rows, schema=dict(zip(SPAN_SCHEMA, kinds, strict=True)), orient="row")


def faults(*vehicles: str, is_clear: bool = True) -> pl.DataFrame:
    rows = [
        dict.fromkeys(TRUTH_SCHEMA)
        | {
            "fault_id": f"{who}{is_clear}", "vehicle_id": who, "is_clear": is_clear,
            "started_at": BEGIN, "ended_at": BEGIN + timedelta(minutes=2),
        }
        for who in vehicles
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TRUTH_SCHEMA)


def test_what_was_reached_is_told_by_group() -> None:
    nothing = TRUTH_SCHEMA.to_frame()
    found = Found(
        Outcome(alarms("t1", "t1", "t2"), nothing),
        (
            Outcome(alarms("t1", after=timedelta(seconds=30)), faults("t1", "t2", "v1")),
            Outcome(alarms("v1"), pl.concat([faults("v1"), faults("t1", is_clear=False)])),
        ),
    )
    assert by_group(found, data({"t1": 2, "t2": 1, "v1": 0.5})) == {
        "truck": HeldOut(3.0, 3, 2, 1),
        "van": HeldOut(0.5, 0, 2, 1),
    }


@pytest.mark.parametrize(
    ("known_hours", "whose", "passes"),
    [(20.0, KNOWN, PASSES), (14.0, EVERYBODY, PASSES_OF_FEW), (None, EVERYBODY, PASSES_OF_FEW)],
)
def test_where_days_of_known_vehicles_are_few_all_vehicles_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, known_hours: float | None, whose: str, passes: int
) -> None:
    asked: list[tuple[dict[str, str], int]] = []

    def evaluation_data(_: Lake, __: Any, types: dict[str, str], *___: Any, **more: Any) -> Any:
        asked.append((types, more["passes"]))
        if len(types) == 1 and known_hours is None:
            raise NothingToCompareError("none")
        return data(dict.fromkeys(types, 1.0) | {"t1": known_hours or 1.0}, types)

    monkeypatch.setattr(figures, "evaluation_data", evaluation_data)
    monkeypatch.setattr(figures, "known_of", lambda *_: None)
    monkeypatch.setattr(figures, "groups_of_register", lambda _: TYPES)
    monkeypatch.setattr(figures, "found_by", lambda *_: "what was found")
    monkeypatch.setattr(figures, "_told", lambda *_: {"held_out_days": {}})
    card = {"id": "ts-1", "from": str(date(2026, 3, 2)), "to": str(date(2026, 3, 4))}
    given: Any = SimpleNamespace(types={"t1": "truck"}, card=card)
    model: Any = None
    made = figures_of(Lake("nowhere"), "nothing", model, given, pl.DataFrame(), lambda *_: None)
    assert made.told["of"] == whose
    trucks = {who: group for who, group in TYPES.items() if group == "truck"}
    assert asked[-1] == ({"t1": "truck"} if whose == KNOWN else trucks, passes)
