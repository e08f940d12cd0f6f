"""Baselines and z-scores: which days count, and what failures and little data do to them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from fleet_assets.errors import FleetError
from fleet_assets.features.baselines import (
    BASELINE_SCHEMA,
    SUMMARY_SCHEMA,
    daily_summaries,
    vehicle_baselines,
)
from fleet_assets.features.catalogue import read_features
from fleet_assets.features.kernel import windows_schema
from fleet_assets.features.scores import with_z_scores

DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FLEET = pl.DataFrame(
    {
        "vehicle_id": ["a", "b", "c", "new", "t1", "x"],
        "vehicle_type": ["van", "van", "van", "van", "truck", None],
    }
)


def windows(*given: dict[str, Any]) -> pl.DataFrame:
    plain = {"vehicle_id": "a", "window_end": NOON, "speed_mean_60s": 30.0, "rpm_mean_60s": 1500.0}
    return pl.DataFrame([plain | one for one in given], schema=windows_schema())


def summary(
    vehicle_id: str, days_before: int, median: float, mad: float = 40.0, **more: Any
) -> Any:
    return {
        "day": DAY - timedelta(days=days_before), "vehicle_id": vehicle_id, "regime": "city",
        "feature": "rpm_mean_60s", "windows": 100, "median": median, "mad": mad,
    } | more  # fmt: skip


def baseline(summaries: list[Any], vehicle_id: str, day: date = DAY) -> dict[str, Any]:
    found = vehicle_baselines(pl.DataFrame(summaries, schema=SUMMARY_SCHEMA), FLEET, day)
    return found.row(by_predicate=pl.col("vehicle_id") == vehicle_id, named=True)


VANS = [summary("b", n, 1600.0) for n in range(1, 6)] + [
    summary("c", n, 2000.0) for n in range(1, 6)
]


@pytest.mark.parametrize(
    ("speed", "rpm", "expected"),
    [
        (0.0, 0.0, "off"), (0.0, 800.0, "idle"), (0.0, None, "idle"), (2.9, 800.0, "idle"),
        (3.0, 0.0, "city"), (44.9, 1500.0, "city"), (45.0, 2000.0, "highway"),
    ],
)  # fmt: skip
def test_days_are_summarised_by_regime(speed: float, rpm: float | None, expected: str) -> None:
    given = {"speed_mean_60s": speed, "rpm_mean_60s": rpm, "coolant_mean_60s": 90.0}
    found = daily_summaries(windows(given)).filter(pl.col("feature") == "coolant_mean_60s")
    assert found["regime"].to_list() == [expected]


def test_a_summary_is_median_and_mad_of_the_day() -> None:
    levels = [1500.0, 1510.0, 1490.0, 1530.0, 9000.0]
    ends = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=10 * n) for n in range(5)]
    found = daily_summaries(
        windows(*({"rpm_mean_60s": v, "window_end": e} for v, e in zip(levels, ends, strict=True)))
    )
    rows = found.filter(pl.col("feature") == "rpm_mean_60s").drop("vehicle_id", "feature").rows()
    assert rows == [  # the first one looks at the day before
        (date(2026, 2, 28), "city", 1, 1500.0, 0.0),
        (date(2026, 3, 1), "city", 4, 1520.0, 20.0),
    ]


def test_windows_that_look_at_an_incident_are_left_out() -> None:
    at = [NOON + timedelta(seconds=s) for s in (0, 10, 70, 130, 131)]
    given = windows(*({"window_end": end, "vehicle_id": v} for end in at for v in ("a", "b")))
    span = {
        "vehicle_id": ["a", "a"],
        "started_at": [NOON, NOON + timedelta(hours=1)],
        "ended_at": [NOON + timedelta(seconds=70), NOON + timedelta(hours=2)],
    }
    found = daily_summaries(given, pl.DataFrame(span)).filter(pl.col("feature") == "rpm_mean_60s")
    assert dict(found.select("vehicle_id", "windows").rows()) == {"a": 2, "b": 5}


def test_only_the_thirty_days_before_count() -> None:
    others = [summary("a", n, 9000.0) for n in (-1, 0, 31)]
    within = [summary("a", n, 1000.0) for n in (1, 30)]
    found = baseline([*VANS, *within, *others, summary("a", 2, 9000.0, windows=5)], "a")
    assert found["days"] == 2
    assert found["center"] == pytest.approx(2 / 7 * 1000 + 5 / 7 * found["type_center"])


def test_spread_is_within_and_between_days() -> None:
    found = baseline([summary("a", n, 1500 + 60 * (n - 2), mad=80.0) for n in (1, 2, 3)], "a")
    own = 1.4826 * (80**2 + 60**2) ** 0.5
    assert found["type_spread"] == pytest.approx(own)  # no other vehicle is known
    assert found["spread"] == pytest.approx(own)


def test_a_bad_day_hardly_moves_a_baseline() -> None:
    good = [*VANS, *(summary("a", n, 1500.0) for n in range(1, 20))]
    calm, upset = baseline(good, "a"), baseline([*good, summary("a", 20, 6000.0, mad=2000.0)], "a")
    assert upset["center"] == pytest.approx(calm["center"], rel=0.01)
    assert upset["spread"] == pytest.approx(calm["spread"], rel=0.05)


def test_little_data_is_shrunk_toward_the_type_and_none_is_the_type() -> None:
    one, many, none = (
        baseline([*VANS, *(summary("a", n, 1000.0) for n in range(1, days + 1))], name)
        for days, name in ((1, "a"), (20, "a"), (5, "new"))
    )
    assert (one["weight"], many["weight"], none["weight"]) == pytest.approx((1 / 6, 0.8, 0))
    assert one["center"] == pytest.approx(1000 / 6 + 1600 * 5 / 6)  # of 1000, 1600, 2000
    assert many["center"] == pytest.approx(0.8 * 1000 + 0.2 * 1600)
    assert none["center"] == none["type_center"] == 1600
    assert none["type_spread"] == pytest.approx(((1.4826 * 40) ** 2 + (1.4826 * 400) ** 2) ** 0.5)


@pytest.mark.parametrize("vehicle_id", ["t1", "x"])
def test_who_is_alone_has_the_baseline_of_the_fleet(vehicle_id: str) -> None:
    found = baseline([*VANS, summary("a", 1, 1000.0), summary("t1", 1, 3000.0)], vehicle_id)
    assert (found["type_vehicles"], found["type_center"]) == (4, 1800)


def test_a_vehicle_that_never_varies_has_the_least_spread() -> None:
    found = baseline([summary("a", 1, 1500.0, mad=0.0)], "a")
    assert (found["spread"], found["type_spread"]) == (30, 30)


def usual(**more: Any) -> pl.DataFrame:
    rows = [
        summary(v, 1, center, feature=name)
        for name, center in (
            ("rpm_mean_60s", 1500.0), ("coolant_mean_60s", 90.0), ("rpm_per_mph_60s", 50.0),
        )
        for v in ("a", "b", "c")
    ]  # fmt: skip
    for row in rows:
        row["mad"] = {"rpm_mean_60s": 40.0, "coolant_mean_60s": 2.0, "rpm_per_mph_60s": 4.0}[
            row["feature"]
        ]
        row |= more
    return vehicle_baselines(pl.DataFrame(rows, schema=SUMMARY_SCHEMA), FLEET, DAY)


@pytest.mark.parametrize("against", ["vehicle", "type"])
@pytest.mark.parametrize(
    ("of", "value", "expected"),
    [
        ("rpm_mean_60s", 1500 + 80 * 1.4826, 2), ("coolant_mean_60s", 90 - 2 * 1.4826, -1),
        ("rpm_per_mph_60s", 50 + 12 * 1.4826, 3), ("rpm_mean_60s", 9000.0, 20),
        ("coolant_mean_60s", None, None),
    ],
)  # fmt: skip
def test_z_scores(of: str, value: float | None, expected: float | None, against: str) -> None:
    found = with_z_scores(windows({of: value}), usual())
    assert found.columns == windows_schema().names()
    assert found[f"{of}_z_{against}"].to_list() == [pytest.approx(expected)]


def test_own_and_type_scores_differ_where_the_vehicle_differs() -> None:
    days = [summary("a", n, 1000.0) for n in range(1, 21)]
    usual = vehicle_baselines(pl.DataFrame([*VANS, *days], schema=SUMMARY_SCHEMA), FLEET, DAY)
    found = with_z_scores(windows({"rpm_mean_60s": 1120.0}), usual)
    assert found["rpm_mean_60s_z_vehicle"][0] == pytest.approx(0, abs=0.1)
    assert found["rpm_mean_60s_z_type"][0] < -0.7


@pytest.mark.parametrize(
    "given",
    [{"speed_mean_60s": None}, {"speed_mean_60s": 60.0}, {"vehicle_id": "unknown"}],
)
def test_without_a_baseline_there_is_no_score(given: dict[str, Any]) -> None:
    found = with_z_scores(windows(given | {"rpm_mean_60s": 1500.0}), usual())
    scores = [f.name for f in read_features().features if f.of]
    assert found.select(scores).row(0) == (None,) * len(scores)


def test_baselines_that_know_the_future_are_refused() -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(FleetError, match="know the future of a window of 2026-02-28"):
        with_z_scores(windows({"window_end": midnight}), usual())
    with_z_scores(windows({"window_end": midnight + timedelta(seconds=10)}), usual())
    two = pl.concat([usual(), usual().with_columns(day=pl.lit(DAY - timedelta(days=1)))])
    with pytest.raises(FleetError, match="of 2 days"):
        with_z_scores(windows({}), two)


def test_nothing_gives_nothing() -> None:
    empty = windows_schema().to_frame()
    summaries = daily_summaries(empty)
    assert summaries.schema == SUMMARY_SCHEMA
    none = vehicle_baselines(summaries, FLEET, DAY)
    assert none.is_empty()
    assert none.schema == usual().schema == BASELINE_SCHEMA
    assert with_z_scores(windows({}), none)["rpm_mean_60s_z_type"].to_list() == [None]
    assert with_z_scores(empty, usual()).is_empty()
