"""Each injected fault is what the ground truth says, when it says so, and nothing else is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from fleet_assets.fleet_sim.draws import Bools, Floats
from fleet_assets.fleet_sim.faults import FAULT_KINDS, FaultKind, possible
from fleet_assets.fleet_sim.fleet import Vehicle
from fleet_assets.fleet_sim.limits import GRAVITY, LIMITS, MPH, rpm_limit
from fleet_assets.fleet_sim.planner import Fault
from fleet_assets.fleet_sim.simulation import Options, Simulation
from fleet_assets.fleet_sim.truth import truth_rows, write_truth

START_MS = 1_767_225_600_000
SPAN_S = 2 * 3600
Signals = dict[str, Floats]


class Run:
    """A simulation with faults of all kinds, sampled once a second."""

    def __init__(self) -> None:
        self.simulation = Simulation(Options(70, START_MS, SPAN_S * 1000, seed=5, faults=0.9), None)
        self.samples = self.simulation.samples(0, SPAN_S)
        self.faults = defaultdict[FaultKind, list[Fault]](list)
        for fault in self.simulation.faults:
            self.faults[fault.kind].append(fault)

    def seconds(self, vehicle: int) -> Floats:
        rows = self.samples.vehicle == vehicle
        return np.asarray((self.samples.time_ms[rows] - START_MS) / 1000.0)

    def signals(self, vehicle: int) -> Signals:
        rows = self.samples.vehicle == vehicle
        found = {k: np.asarray(v[rows], np.float64) for k, v in self.samples.values.items()}
        for name, mask in self.samples.nulls.items():
            found[name] = np.where(mask[rows], np.nan, found[name])
        return found


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def _high_rpm(vehicle: Vehicle, s: Signals) -> Bools:
    return s["engine_rpm"] > rpm_limit(vehicle.spec.name, vehicle.spec.redline_rpm)


def _harsh_braking(vehicle: Vehicle, s: Signals) -> Bools:
    return s["accel_x"] < -LIMITS[vehicle.spec.name].braking_g * GRAVITY


def _idling(vehicle: Vehicle, s: Signals) -> Bools:
    return (s["speed"] < 1.0) & (s["ignition"] > 0)


def _speeding(vehicle: Vehicle, s: Signals) -> Bools:
    return s["speed"] > LIMITS[vehicle.spec.name].speed_mph


def _overheat(vehicle: Vehicle, s: Signals) -> Bools:
    return s["coolant_temp"] >= 110


def _low_fuel(vehicle: Vehicle, s: Signals) -> Bools:
    return s["fuel_level"] <= 10.0


Beyond = Callable[[Vehicle, Signals], Bools]
PREDICATES: dict[FaultKind, tuple[Beyond, Callable[[Vehicle], float]]] = {
    "high_rpm": (_high_rpm, lambda v: 5.0),
    "harsh_braking": (_harsh_braking, lambda v: 2.0),
    "prolonged_idling": (_idling, lambda v: LIMITS[v.spec.name].idling.total_seconds()),
    "over_speeding": (_speeding, lambda v: 30.0),
    "engine_overheat": (_overheat, lambda v: 10.0),
    "low_fuel": (_low_fuel, lambda v: 300.0),
}


@pytest.mark.parametrize("kind", PREDICATES)
def test_a_fault_exceeds_its_limit_within_its_interval_and_only_there(
    kind: FaultKind, run: Run
) -> None:
    beyond, at_least = PREDICATES[kind]
    assert run.faults[kind]
    for fault in run.faults[kind]:
        vehicle = run.simulation.fleet.vehicles[fault.vehicle]
        seconds, signals = run.seconds(fault.vehicle), run.signals(fault.vehicle)
        end = SPAN_S if fault.end is None else fault.end
        assert end - fault.start >= at_least(vehicle)
        edge = 1.5  # sampling, sensor steps
        inside = (seconds > fault.start + edge) & (seconds < end - edge)
        if kind == "harsh_braking":
            inside = (seconds > fault.start) & (seconds < end)
        slow_start = 5.0 if kind == "prolonged_idling" else edge  # a truck takes a while to 1 mph
        near = (seconds > fault.start - edge) & (seconds < end + slow_start)
        flags = beyond(vehicle, signals)
        assert flags[inside].all(), (fault, signals["speed"][inside])
        others = near if kind != "prolonged_idling" else near | (_run_of_idling(flags) < 300)
        assert not (flags & ~others).any(), fault


def _run_of_idling(flags: Bools) -> Floats:
    """Length of the stretch of True that each sample lies in."""
    group = np.cumsum(np.diff(flags.astype(np.int8), prepend=0) != 0)
    return np.asarray(np.bincount(group)[group] * flags, np.float64)


def test_a_lying_receiver_departs_from_the_wheels(run: Run) -> None:
    assert len(run.faults["gps_anomaly"]) >= 4
    for fault in run.faults["gps_anomaly"]:
        assert fault.end is not None
        seconds, s = run.seconds(fault.vehicle), run.signals(fault.vehicle)
        north, east = np.diff(s["gps_lat"]) * 111_320.0, np.diff(s["gps_lon"]) * 85_000.0
        step, rolled = np.hypot(east, north), s["speed"][1:] * MPH
        inside = (seconds[1:] > fault.start) & (seconds[1:] <= fault.end + 1.0)
        assert np.abs(step - rolled)[inside].max() > 5.0, fault
        assert np.abs(step - rolled)[~inside].max() < 12.0, fault


def test_a_broken_sensor_is_null_stuck_or_out_of_range(run: Run) -> None:
    seen = set()
    for fault in run.faults["sensor_failure"]:
        assert fault.end is not None
        seconds, s = run.seconds(fault.vehicle), run.signals(fault.vehicle)
        inside = (seconds >= fault.start) & (seconds < fault.end)
        name, what = fault.detail.split()[0], fault.detail
        seen.add(what.split(" ", 1)[1].split()[0] + what.split(" ", 1)[1].split()[1])
        if "null" in what:
            assert np.isnan(s[name][inside]).all()
            assert not np.isnan(s[name][~inside]).any()
            assert fault.end - fault.start >= 10
        elif "stuck" in what:
            assert np.ptp(s["engine_rpm"][inside]) == 0
            assert fault.end - fault.start >= 120
            assert np.ptp(s["speed"][inside]) > 10
        else:
            assert (s["coolant_temp"][inside] == -40).all()
    assert len(seen) >= 2


def test_all_kinds_are_injected_and_only_possible_ones(run: Run) -> None:
    assert set(run.faults) == set(FAULT_KINDS)
    vehicles = run.simulation.fleet.vehicles
    assert all(possible(f.kind, vehicles[f.vehicle]) for f in run.simulation.faults)
    assert len(run.simulation.faults) == 63


def test_a_number_of_faults_larger_than_the_fleet_is_spread_over_the_span() -> None:
    simulation = Simulation(
        Options(3, START_MS, SPAN_S * 1000, faults=9.0, fault_kinds=("harsh_braking",))
    )
    simulation.samples(0, SPAN_S)
    assert len(simulation.faults) == 9
    assert all(0 < f.start < (f.end or 0) < SPAN_S for f in simulation.faults)


def test_truth_is_cut_where_the_simulation_stopped(run: Run, tmp_path: Path) -> None:
    until_ms = START_MS + timedelta(hours=1) // timedelta(milliseconds=1)
    rows = truth_rows(run.simulation.faults, run.simulation.fleet.ids, START_MS, until_ms)
    assert 0 < len(rows) < len(run.simulation.faults)
    assert all(row["start"] < row["end"] <= "2026-01-01T01:00:00.000Z" for row in rows)
    write_truth(tmp_path / "truth.ndjson", rows)
    write_truth(tmp_path / "truth.csv", rows)
    lines = (tmp_path / "truth.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert len((tmp_path / "truth.csv").read_text().splitlines()) == len(rows) + 1
