"""Champion or challenger: only what is shown on enough vehicles serves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.bootstrap import tail_beyond
from fleet_assets.model_choice.decision import (
    DECISION_SCHEMA,
    VERDICTS,
    Decision,
    decide,
    group_decisions,
)
from fleet_assets.model_choice.paired import PAIRED_SCHEMA
from fleet_assets.model_choice.policy import policy

DAY = date(2026, 10, 1)
NUMBERS = policy().comparison
QUICK = NUMBERS.model_copy(update={"resamples": 400})
SMALL = QUICK.model_copy(update={"least_vehicles": 3, "least_events": 10, "least_hours": 10.0})
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


def results(
    seed: int = 0,
    vehicles: int = 60,
    recall: tuple[float, float] = (0.8, 0.8),
    alarms: tuple[float, float] = (0.05, 0.05),
    group: str = "van",
    events: int = 8,
    spread: float = 0.1,
) -> pl.DataFrame:
    """Vehicle-days of vehicles that differ in how easily their events are found.

    An event is found by both models, or by one of them only; 12 % of the finds are not shared.
    """
    random = np.random.default_rng(seed)
    days, hours = 5, 10.0
    ease = np.repeat(random.normal(0, spread, vehicles), days)
    luck = random.random((vehicles * days, events))
    other = random.random((vehicles * days, events))
    shared = random.random((vehicles * days, events)) < 0.88
    champion = luck < np.clip(recall[0] + ease, 0, 1)[:, None]
    challenger = np.where(shared, luck, other) < np.clip(recall[1] + ease, 0, 1)[:, None]
    both = random.poisson(0.9 * min(alarms) * hours, vehicles * days)
    alone = [random.poisson((of - 0.9 * min(alarms)) * hours, vehicles * days) for of in alarms]
    return pl.DataFrame(
        {
            "vehicle_id": np.repeat([f"{group}{n}" for n in range(vehicles)], days),
            "day": [DAY + timedelta(days=n) for n in range(days)] * vehicles,
            "group": group,
            "events": events,
            "champion_found": champion.sum(axis=1),
            "challenger_found": challenger.sum(axis=1),
            "champion_alarms": both + alone[0],
            "challenger_alarms": both + alone[1],
            "hours": hours,
        },
        schema=PAIRED_SCHEMA,
    )


def as_champion(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        challenger_found=pl.col("champion_found"), challenger_alarms=pl.col("champion_alarms")
    )


def test_a_better_recipe_serves_and_says_why() -> None:
    decided = decide(results(recall=(0.8, 0.88), alarms=(0.06, 0.05)), "recipe").of("van")
    assert decided.verdict == "serve"
    assert decided.numbers.gain
    assert decided.numbers.gain.low > 0.02
    assert "points, 95% sure of +" in decided.reasons[0]
    assert "a new recipe needs +2.0" in decided.reasons[0]


@pytest.mark.parametrize(
    ("rows", "kind", "verdict", "told"),
    [
        (results(recall=(0.8, 0.81), alarms=(0.06, 0.05)), "recipe", "stay", "not reached"),
        (results(1, 25, (0.8, 0.83), (0.06, 0.05)), "recipe", "shadow", "as much data may"),
        (results(recall=(0.8, 0.88), alarms=(0.05, 0.06)), "recipe", "stay", "alarms per vehicle"),
        (results(1, 25, (0.8, 0.86), (0.06, 0.055)), "recipe", "shadow", "data may tell; recall"),
        (results(recall=(0.8, 0.82), alarms=(0.06, 0.05)), "refresh", "serve", "needs -1.0"),
        (results(recall=(0.8, 0.77), alarms=(0.06, 0.05)), "refresh", "stay", "not reached"),
        (results(vehicles=19, recall=(0.7, 0.9)), "recipe", "stay", "19 vehicles with events, at"),
        (results(events=0), "refresh", "stay", "too little data: 0 vehicles with events"),
    ],
)  # fmt: skip
def test_verdicts(rows: pl.DataFrame, kind: str, verdict: str, told: str) -> None:
    decided = decide(rows, kind).of("van")  # type: ignore[arg-type]
    assert (decided.verdict, told in "; ".join(decided.reasons)) == (verdict, True), decided


@pytest.mark.parametrize(
    ("rows", "is_worse"),
    [
        (results(1, 25, (0.8, 0.785), (0.06, 0.05)), False),
        (results(recall=(0.8, 0.72), alarms=(0.06, 0.05)), True),
        (results(recall=(0.8, 0.85), alarms=(0.05, 0.08)), True),
        (results(vehicles=19, recall=(0.8, 0.76), alarms=(0.06, 0.05)), False),
        (results(vehicles=19, recall=(0.8, 0.6), alarms=(0.06, 0.05)), True),  # bars
        (results(recall=(0.8, 0.85), alarms=(0.06, 0.05)), False),
    ],
)
def test_worse_is_what_is_shown_to_be(rows: pl.DataFrame, is_worse: bool) -> None:
    decided = decide(rows, "refresh").of("van")
    assert decided.is_worse == is_worse
    if is_worse:
        assert decided.verdict == "stay"


def test_an_equal_refresh_serves_and_an_equal_recipe_does_not() -> None:
    same = as_champion(results())
    assert decide(same, "refresh").of("van").verdict == "serve"
    assert decide(same, "recipe").of("van").verdict == "stay"


def test_without_false_alarms_of_the_champion_one_more_is_too_many() -> None:
    quiet = as_champion(results(alarms=(0.0, 0.0)))
    assert decide(quiet, "refresh").of("van").verdict == "serve"
    first = pl.int_range(pl.len()) == 0
    loud = quiet.with_columns(challenger_alarms=pl.when(first).then(1).otherwise(0))
    assert decide(loud, "refresh").of("van").verdict == "stay"


def test_one_group_decides_nothing_for_another_unless_it_is_far_worse() -> None:
    good = results(recall=(0.8, 0.9), alarms=(0.06, 0.05))
    slightly_worse = results(1, recall=(0.8, 0.77), alarms=(0.06, 0.05), group="truck")
    decided = decide(pl.concat([good, slightly_worse]), "recipe")
    assert [found.verdict for found in decided.groups] == ["stay", "serve"]
    far_worse = results(1, recall=(0.8, 0.7), alarms=(0.06, 0.05), group="truck")
    decided = decide(pl.concat([good, far_worse]), "recipe")
    assert [found.verdict for found in decided.groups] == ["stay", "stay"]
    assert decided.of("van").reasons[0].startswith("truck bars it from every group: recall -")
    loud = results(1, recall=(0.8, 0.85), alarms=(0.05, 0.09), group="truck")
    decided = decide(pl.concat([good, loud]), "recipe")
    assert "bars it from every group: false alarms" in decided.of("van").reasons[0]


def test_a_group_with_enough_data_bars_by_its_estimate() -> None:
    good = results(recall=(0.8, 0.9), alarms=(0.06, 0.05))
    loud = results(5, 30, (0.8, 0.85), (0.05, 0.075), "truck")
    decided = decide(pl.concat([good, loud]), "recipe")
    more = decided.of("truck").numbers.more
    assert more
    assert more.low < NUMBERS.bar.most_more_alarms < more.estimate
    assert decided.of("van").verdict == "stay"


@pytest.mark.parametrize(("alarms", "verdict"), [(104, "serve"), (105, "serve"), (106, "stay")])
def test_five_percent_more_false_alarms_are_allowed(alarms: int, verdict: str) -> None:
    rows = as_champion(results()).with_columns(champion_alarms=100, challenger_alarms=alarms)
    bar = NUMBERS.bar.model_copy(update={"most_more_alarms": 9.0})
    decided = decide(rows, "refresh", NUMBERS.model_copy(update={"bar": bar}))
    assert decided.of("van").verdict == verdict


def test_bounds_lie_further_out_where_vehicles_are_few() -> None:
    tails = [tail_beyond(0.95, vehicles) for vehicles in (1, 2, 5, 20, 200, 10**6)]
    assert tails == sorted(tails)
    assert tails[0] == 0
    assert tails[3] == pytest.approx(0.0381, abs=1e-4)  # Φ(−1.729 × √(20/19))
    assert tails[-1] == pytest.approx(0.05, abs=1e-4)


def test_the_seed_and_the_group_decide_the_draws() -> None:
    rows = results(recall=(0.8, 0.82))
    named = rows.with_columns(group=pl.lit("suv"), vehicle_id=pl.lit("s") + pl.col("vehicle_id"))
    both = pl.concat([rows, named])
    other = NUMBERS.model_copy(update={"seed": 7})
    bounds = [
        (decided.numbers.gain, decided.numbers.over, decided.numbers.more)
        for numbers in (NUMBERS, NUMBERS, other)
        for decided in decide(both, "refresh", numbers).groups
    ]
    assert bounds[:2] == bounds[2:4]
    assert len(set(bounds)) == 4


def test_a_small_group_bars_only_beyond_doubt() -> None:
    good = results(recall=(0.8, 0.9), alarms=(0.06, 0.05))

    def with_small(vehicles: int, challenger: float, seed: int = 3) -> str:
        few = results(seed, vehicles, (0.8, challenger), (0.06, 0.05), "suv", events=3)
        return decide(pl.concat([good, few]), "recipe").of("van").verdict

    assert with_small(6, 0.72, seed=7) == "serve"  # 10 points fewer, by luck maybe none
    assert with_small(6, 0.2) == "stay"
    assert with_small(4, 0.2) == "serve"


def test_days_of_a_vehicle_are_drawn_together() -> None:
    """The same results spread over more vehicles are surer than over few."""
    rows = results(recall=(0.8, 0.86), vehicles=30, spread=0.3)
    apart = rows.with_columns(vehicle_id=pl.col("vehicle_id") + pl.col("day").cast(pl.String))
    together = rows.with_columns(
        challenger_found=pl.when(pl.col("vehicle_id").str.ends_with("1"))
        .then(pl.col("champion_found") // 2)
        .otherwise(pl.col("events"))
    )
    spread = together.with_columns(vehicle_id=apart["vehicle_id"])
    widths = []
    for each in (together, spread):
        gain = decide(each, "refresh").of("van").numbers.gain
        assert gain
        widths.append(gain.high - gain.low)
    assert widths[0] > 1.7 * widths[1]


def test_what_is_just_too_bad_serves_at_most_at_the_stated_rate() -> None:
    """A refresh that truly loses a point: at 95 % it passes in one of twenty draws."""
    served = sum(
        decide(results(seed, 25, (0.8, 0.79), (0.06, 0.05), spread=0.05), "refresh", QUICK)
        .of("van")
        .verdict
        == "serve"
        for seed in range(200)
    )
    assert served <= 18  # 99 % of binomial draws at 5 %


def test_the_frame_holds_a_row_per_group() -> None:
    rows = pl.concat([results(), results(events=0, group="suv")])
    for given_rows, groups in ((rows, ["suv", "van"]), (rows.clear(), [])):
        decided = decide(given_rows, "refresh")
        frame = decided.frame()
        assert frame.schema == DECISION_SCHEMA
        assert frame["group"].to_list() == groups
        assert group_decisions(frame) == list(decided.groups)
    of = decide(rows, "refresh").of("van").numbers
    row = decide(rows, "refresh").frame().row(1, named=True)
    assert of.gain
    assert of.over
    assert (row["gain"], row["gain_low"]) == (of.gain.estimate, of.gain.low)
    assert (row["over_high"], row["events"]) == (of.over.high, of.events)
    assert row["reasons"].count("\n") == 1


@SETTINGS
@given(st.integers(0, 10**6), st.integers(1, 30), st.floats(0, 1), st.floats(0, 0.3))
def test_a_challenger_equal_to_the_champion_is_never_better(
    seed: int, vehicles: int, recall: float, alarms: float
) -> None:
    same = as_champion(results(seed, vehicles, (recall, recall), (alarms, alarms)))
    decided = decide(same, "recipe", SMALL).of("van")
    assert decided.verdict == "stay"
    assert decided.numbers.gain
    assert (decided.numbers.gain.low, decided.numbers.gain.high) == (0, 0)


@SETTINGS
@given(st.integers(0, 10**6), st.integers(3, 25), st.floats(0.3, 0.9), st.floats(-0.2, 0.2),
       st.floats(0, 1), st.sampled_from(["refresh", "recipe"]))  # fmt: skip
def test_finding_more_never_lowers_a_verdict(
    seed: int, vehicles: int, recall: float, gain: float, extra: float, kind: str
) -> None:
    rows = results(seed, vehicles, (recall, min(1, recall + gain)), (0.06, 0.05))
    missed = rows["events"] - rows["challenger_found"]
    more = np.random.default_rng(seed).binomial(missed.to_numpy(), extra)
    better = rows.with_columns(challenger_found=rows["challenger_found"] + pl.Series(more))

    before, after = (
        decide(of, kind, SMALL).of("van")  # type: ignore[arg-type]
        for of in (rows, better)
    )
    assert VERDICTS.index(after.verdict) >= VERDICTS.index(before.verdict)
    assert before.numbers.gain
    assert after.numbers.gain
    assert after.numbers.gain.low >= before.numbers.gain.low - 1e-12
    assert after.numbers.gain.high >= before.numbers.gain.high - 1e-12


@SETTINGS
@given(st.integers(0, 10**6), st.floats(0.01, 0.2), st.floats(0, 1))
def test_fewer_false_alarms_never_lower_a_verdict(seed: int, alarms: float, kept: float) -> None:
    rows = results(seed, 25, (0.8, 0.85), (alarms, 0.1))
    fewer = np.random.default_rng(seed).binomial(rows["challenger_alarms"].to_numpy(), kept)
    quieter = rows.with_columns(challenger_alarms=pl.Series(fewer))
    ranks = [
        VERDICTS.index(decide(of, "refresh", SMALL).of("van").verdict) for of in (rows, quieter)
    ]
    assert ranks[1] >= ranks[0]


def test_several_looks_share_the_doubt() -> None:
    rows = results(recall=(0.8, 0.81), alarms=(0.06, 0.05))
    one, many = (decide(rows, "refresh", NUMBERS.for_looks(looks)).of("van") for looks in (1, 3))
    assert (one.confidence, round(many.confidence, 4)) == (0.95, 0.9833)
    assert one.numbers.gain
    assert many.numbers.gain
    assert many.numbers.gain.low < one.numbers.gain.low
    assert "98.3% sure of" in many.reasons[0]


@SETTINGS
@given(st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rows = pl.concat([results(seed, 25), results(seed, 22, group="suv")])
    expected: Decision = decide(rows, "refresh", SMALL)
    assert decide(rows.sample(fraction=1, shuffle=True, seed=seed), "refresh", SMALL) == expected


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop("hours"), "lack hours"),
        (lambda rows: rows.with_columns(events=pl.lit(None)), "a null"),
        (lambda rows: rows.with_columns(hours=float("nan")), "hours that are no number"),
        (lambda rows: rows.with_columns(challenger_alarms=-1), "negative"),
        (lambda rows: rows.with_columns(events=0), "more found than there were events"),
        (lambda rows: pl.concat([rows, rows.head(1)]), "there twice: 2 rows.*vehicle van0"),
    ],
)
def test_results_that_contradict_themselves_are_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], told: str
) -> None:
    with pytest.raises(FleetError, match=told):
        decide(change(results()), "refresh")


def test_a_group_that_was_not_compared_has_no_verdict() -> None:
    with pytest.raises(FleetError, match="group bus; there are van"):
        decide(results(), "refresh").of("bus")
