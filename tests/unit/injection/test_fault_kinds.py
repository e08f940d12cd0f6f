"""Each kind of fault does what the catalogue says, by the stated magnitude."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from injection_data import healthy
from numpy.typing import NDArray

from fleet_assets.injection.catalogue import KINDS, read_catalogue
from fleet_assets.injection.effects import EFFECTS, SPIKE_EVERY_S
from fleet_assets.injection.inject import inject
from fleet_assets.injection.on_the_wire import on_the_wire, step_of
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import M_PER_DEGREE

Numbers = NDArray[np.float64]
CATALOGUE = read_catalogue()
SEEDS = range(3)


class Case:
    """One fault: healthy and faulty values of its signals within it."""

    def __init__(self, kind: str, subject: str, seed: int) -> None:
        telemetry = healthy(minutes=59, seed=seed, signals=sorted(set(NEEDED + _names(subject))))
        only = _only(kind, subject)
        plans = (
            plan(telemetry, number, Chosen([kind], untouched=0), only)
            for number in range(seed * 10, seed * 10 + 10)
        )
        self.plan = next(found for found in plans if found.height)
        after, self.truth = inject(telemetry, self.plan)
        assert self.truth.height == 1
        self.row: dict[str, Any] = self.truth.row(0, named=True)
        self.amount = float(self.plan["amount"][0])
        span = telemetry["event_time"].is_between(self.row["started_at"], self.row["ended_at"])
        self.before = telemetry.filter(span)
        self.after = after.filter(span)
        self.telemetry = telemetry

    def values(self, name: str) -> tuple[Numbers, Numbers]:
        return _floats(self.before[name]), _floats(self.after[name])

    def off(self, name: str) -> Numbers:
        before, after = self.values(name)
        return after - before

    @property
    def metres(self) -> Numbers:
        north = self.off("gps_lat") * M_PER_DEGREE
        east = self.off("gps_lon") * M_PER_DEGREE * np.cos(np.radians(41.6))
        return np.hypot(north, east)

    @property
    def magnitude(self) -> float:
        return float(self.row["magnitude"])


NEEDED: Final = ["engine_rpm", "speed", "coolant_temp"]


def _floats(column: pl.Series) -> Numbers:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _names(subject: str) -> list[str]:
    return list(signals_of(subject))


def _only(kind: str, subject: str) -> Any:
    """The catalogue with nothing but a kind's numbers for one subject."""
    found = CATALOGUE.of(kind)
    group = found.applied(subject).model_copy(update={"signals": (subject,)})
    one = found.model_copy(update={"applies_to": (group,)})
    return CATALOGUE.model_copy(update={"kinds": (one,), "held_out": found.family})


def subjects(kind: str) -> list[Any]:
    return [(kind, subject) for subject in CATALOGUE.of(kind).subjects]


ALL_SUBJECTS = [pair for kind in KINDS for pair in subjects(kind)]


def each(kind: str) -> Callable[..., Any]:
    return pytest.mark.parametrize(
        ("kind", "subject", "seed"),
        [(*pair, seed) for pair in subjects(kind) for seed in SEEDS],
    )


def test_every_kind_of_the_catalogue_has_an_effect() -> None:
    assert set(EFFECTS) == set(KINDS) == {kind.kind for kind in CATALOGUE.kinds}


@pytest.mark.parametrize(("kind", "subject"), ALL_SUBJECTS)
def test_every_kind_finds_a_place_for_every_signal(kind: str, subject: str) -> None:
    found = sum(Case(kind, subject, seed).truth.height for seed in SEEDS)
    assert found == len(SEEDS)


@pytest.mark.parametrize(("kind", "subject"), ALL_SUBJECTS)
def test_it_is_clear_from_the_magnitude_of_the_catalogue_on(kind: str, subject: str) -> None:
    clear_from = CATALOGUE.of(kind).applied(subject).clear_from
    for seed in SEEDS:
        case = Case(kind, subject, seed)
        expected = clear_from is not None and case.magnitude >= clear_from
        assert case.row["is_clear"] is expected


@each("bias")
def test_a_bias_is_the_same_everywhere(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    off = case.off(subject)
    middle = float(np.median(np.abs(off)))
    assert middle == pytest.approx(case.amount, abs=0.51)
    assert len(set(np.sign(off[np.abs(off) > 0]))) == 1
    if CATALOGUE.of(kind).applied(subject).of_usual:
        usual = float(np.median(_floats(case.telemetry[subject])))
        assert case.amount == pytest.approx(case.magnitude / 100 * usual, rel=0.01)
    else:
        assert case.amount == case.magnitude


@each("drift")
def test_a_drift_grows_evenly_to_its_magnitude(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    off = case.metres if subject == "gps" else np.abs(case.off(subject))
    expected = np.linspace(0, case.amount, len(off))
    close = np.abs(off - expected) <= 0.51 + 0.01 * case.amount
    assert close.mean() >= 0.8  # the rest is cut off at the bounds
    assert close[: len(close) // 4].all()


@each("scale")
def test_a_gain_is_a_share_of_the_reading(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    before, after = case.values(subject)
    factor = float(np.median(after / before))
    assert abs(factor - 1) * 100 == pytest.approx(case.magnitude, abs=1)


@each("noise")
def test_noise_has_the_stated_deviation(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    if subject == "gps":
        off = np.append(case.off("gps_lat"), []) * M_PER_DEGREE
    else:
        off = case.off(_names(subject)[0])
    inside = off  # values at the bounds are cut off
    if case.amount < 10:
        assert np.std(inside) == pytest.approx(case.amount, rel=0.5, abs=0.3)
    assert abs(np.mean(inside)) < 0.6 * case.amount
    assert np.unique(np.round(inside, 6)).size > len(inside) / 20


@each("spike")
def test_a_spike_hits_one_reading_in_ten_seconds(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    name = _names(subject)[-1]
    off, (_, after) = np.abs(case.off(name)), case.values(name)
    length = (case.row["ended_at"] - case.row["started_at"]).total_seconds()
    blocks = int(length // SPIKE_EVERY_S) + 1
    assert 0 < np.count_nonzero(off) <= blocks
    free = (off > 0) & (after > 0) & (after < after.max(initial=0))
    low = CATALOGUE.of(kind).applied(subject)
    assert low.least is not None
    if free.any() and case.amount < 60:
        assert off[free].max() <= case.amount + 0.51


@each("stuck")
def test_a_stuck_signal_repeats_one_value_while_the_vehicle_drives(
    kind: str, subject: str, seed: int
) -> None:
    case = Case(kind, subject, seed)
    for name in _names(subject):
        before, after = case.values(name)
        assert set(after) == {before[0]}
    length = case.row["ended_at"] - case.row["started_at"]
    assert case.magnitude == length.total_seconds()
    assert (_floats(case.before["speed"]) >= CATALOGUE.driving_mph).mean() >= 0.9


@each("delay")
def test_late_values_are_those_of_some_seconds_before(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    steps = int(np.ceil(case.magnitude))
    for name in _names(subject):
        whole = case.telemetry.with_columns(late=pl.col(name).shift(steps))
        span = pl.col("event_time").is_between(case.row["started_at"], case.row["ended_at"])
        assert whole.filter(span)["late"].equals(case.after[name].alias("late"))


@each("dropout")
def test_what_drops_out_is_null_by_name(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    for name in _names(subject):
        assert case.after[name].null_count() == case.after.height
        assert case.after["null_signals"].list.contains(name).all()
    length = case.row["ended_at"] - case.row["started_at"]
    assert timedelta(seconds=case.magnitude) == length


@each("gps_jump")
def test_a_jump_is_so_many_metres_off(kind: str, subject: str, seed: int) -> None:
    metres = Case(kind, subject, seed).metres
    magnitude = Case(kind, subject, seed).magnitude
    assert np.ptp(metres) < 0.01 * magnitude + 1
    assert metres[0] == pytest.approx(magnitude, rel=0.01, abs=1)


@each("sensor_swap")
def test_swapped_sensors_show_each_others_values(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    one, other = _names(subject)
    before, after = case.values(one), case.values(other)
    assert (before[1] == after[0]).all()
    assert (before[0] == after[1]).all()
    assert case.magnitude == pytest.approx(np.mean(np.abs(before[0] - after[0])))


@each("thermostat")
def test_a_thermostat_takes_the_coolant_off_with_inertia_and_back(
    kind: str, subject: str, seed: int
) -> None:
    case = Case(kind, subject, seed)
    off = np.abs(case.off(subject))
    assert off.max() == pytest.approx(case.magnitude, abs=0.51)
    assert off[0] == 0
    assert off[-1] <= 0.05 * case.magnitude + 0.51
    assert np.abs(np.diff(off)).max() <= 0.1 * case.magnitude + 1.01
    assert np.argmax(off) > len(off) / 8


@each("misfire")
def test_a_misfire_loses_up_to_a_share_of_speed_in_fits(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    before, after = case.values(subject)
    lost = (1 - after / before) * 100
    assert lost.max() == pytest.approx(case.magnitude, abs=0.05)
    assert lost.min() >= -0.05
    assert 0.1 < (lost < 0.01).mean() < 0.9


@each("fuel_leak")
def test_a_leak_empties_the_tank_until_the_drive_ends(kind: str, subject: str, seed: int) -> None:
    case = Case(kind, subject, seed)
    hours = (case.row["ended_at"] - case.row["started_at"]).total_seconds() / 3600
    before, after = case.values(subject)
    assert before[-1] - after[-1] == pytest.approx(hours * case.magnitude, abs=0.02)
    assert case.row["ended_at"] == case.telemetry["event_time"].max()


@pytest.mark.parametrize("kind", ["noise", "misfire"])
def test_a_reading_that_is_sent_again_keeps_what_is_random_in_it(kind: str) -> None:
    telemetry = healthy().with_columns(
        pl.col("engine_rpm").gather(pl.int_range(pl.len()) // 4 * 4).alias("engine_rpm")
    )
    chosen = Chosen([kind], untouched=0)
    after, truth = inject(telemetry, plan(telemetry, 4, chosen, _only(kind, "engine_rpm")))
    span = pl.col("event_time").is_between(truth["started_at"][0], truth["ended_at"][0])
    before_runs, after_runs = (
        int((rows.filter(span)["engine_rpm"].diff() != 0).sum()) for rows in (telemetry, after)
    )
    assert 0 < after_runs <= before_runs + 20
    assert before_runs < telemetry.filter(span).height / 3.5


def test_values_move_in_the_vehicles_own_steps() -> None:
    kmh = np.arange(0, 120) * 0.621371192
    speed = np.round(kmh, 2)
    step = step_of(speed, "speed", CATALOGUE.steps["speed"])
    assert step == 0.621371192
    sent = on_the_wire(speed + 7.7, "speed", step)
    assert set(sent) <= set(np.round(np.arange(0, 255) * step, 2))
    assert step_of(speed + 0.11, "speed", CATALOGUE.steps["speed"]) == 0.01
    assert step_of(np.array([5.0, np.nan]), "speed", CATALOGUE.steps["speed"]) == 0.01


@pytest.mark.parametrize(("level", "is_up"), [(97, False), (2, True)])
def test_a_direction_is_chosen_in_which_the_magnitude_can_be_sent(level: int, is_up: bool) -> None:
    throttle = pl.lit(level).cast(pl.Decimal(5, 2))
    telemetry = healthy(minutes=59).with_columns(throttle_position=throttle)
    only = _only("bias", "throttle_position")
    for seed in range(20):
        for planned in plan(telemetry, seed, Chosen(untouched=0), only).iter_rows(named=True):
            assert planned["is_up"] is is_up


def test_values_off_the_grid_stay_where_no_spike_hits_them() -> None:
    rpm = pl.col("engine_rpm").cast(pl.Float64).round()
    odd = pl.when(pl.int_range(pl.len()) % 200 == 7).then(rpm + 0.37).otherwise(rpm)
    telemetry = healthy().with_columns(odd.cast(pl.Decimal(7, 2)).alias("engine_rpm"))
    chosen = Chosen(["spike"], untouched=0)
    for seed in range(20):
        found = plan(telemetry, seed, chosen, _only("spike", "engine_rpm"))
        assert found["steps"].to_list() == [[1.0]]
        after, truth = inject(telemetry, found)
        length = (truth["ended_at"] - truth["started_at"]).dt.total_seconds()[0]
        changed = (after["engine_rpm"] != telemetry["engine_rpm"]).sum()
        assert 0 < changed <= length // SPIKE_EVERY_S + 1


def test_a_fault_that_changes_nothing_is_not_true() -> None:
    telemetry = healthy()
    planned = plan(telemetry, 1, Chosen(["scale"], untouched=0), _only("scale", "speed"))
    without = telemetry.with_columns(speed=pl.lit(None, pl.Decimal(5, 2)))
    after, truth = inject(without, planned)
    assert after.equals(without)
    assert truth.is_empty()


def test_values_are_clipped_as_the_encoding_clips_them() -> None:
    sent = on_the_wire(np.array([-3.0, 99.994, 120.0, np.nan]), "throttle_position", 0.01)
    assert sent[:3].tolist() == [0.0, 99.99, 100.0]
    assert np.isnan(sent[3])


def test_notes_of_the_exact_value_go_with_the_value() -> None:
    notes = '{"engine_rpm":900.123,"speed":33.123456}'
    telemetry = healthy().with_columns(inexact_values=pl.lit(notes))
    after, truth = inject(
        telemetry, plan(telemetry, 1, Chosen(["scale"], untouched=0), _only("scale", "speed"))
    )
    changed = after["speed"] != telemetry["speed"]
    assert truth.height == 1
    assert set(after.filter(changed)["inexact_values"]) == {'{"engine_rpm":900.123}'}
    assert set(after.filter(~changed)["inexact_values"]) == {notes}


def test_floats_stay_floats() -> None:
    telemetry = healthy().with_columns(pl.col(pl.Decimal).cast(pl.Float64))
    after, truth = inject(telemetry, plan(telemetry, 1, Chosen(untouched=0)))
    assert truth.height == 1
    assert after.schema == telemetry.schema
    assert not after.equals(telemetry)


def test_rows_in_conflict_stay_as_they_are() -> None:
    telemetry = healthy().with_columns(conflict=pl.int_range(pl.len()) % 13 == 0)
    after, truth = inject(
        telemetry, plan(telemetry, 1, Chosen(["dropout"], untouched=0), _only("dropout", "speed"))
    )
    changed = after["speed"].is_null()
    assert truth.height == 1
    assert changed.any()
    assert not (changed & telemetry["conflict"]).any()
