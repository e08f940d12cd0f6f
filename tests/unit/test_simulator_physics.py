"""The simulated vehicles obey physics, and healthy ones obey policy."""

from __future__ import annotations

import numpy as np
import pytest

from fleet_assets.contracts.signals import NUMBERS
from fleet_assets.fleet_sim.draws import Floats, Ints
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.limits import GRAVITY, LIMITS, MILE, MPH, rpm_limit
from fleet_assets.fleet_sim.signals import Samples
from fleet_assets.fleet_sim.simulation import Options, Simulation

START_MS = 1_767_225_600_000
HOURS = 3
KMH = 1 / 3.6


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(40, 11)


@pytest.fixture(scope="module")
def healthy(fleet: Fleet) -> Samples:
    simulation = Simulation(Options(40, START_MS, HOURS * 3_600_000, seed=11), fleet)
    return simulation.samples(0, HOURS * 3600)


def table(samples: Samples, name: str) -> Floats:
    """One row for each vehicle, one column for each second."""
    return np.asarray(samples.values[name], dtype=np.float64).reshape(40, -1)


def test_every_value_lies_within_its_hard_bounds_and_resolution(healthy: Samples) -> None:
    for signal in NUMBERS:
        values = healthy.values[signal.name]
        assert values.min() >= signal.minimum, signal.name
        assert values.max() <= signal.maximum, signal.name
        scaled = values * 10.0**signal.scale
        assert np.abs(scaled - np.rint(scaled)).max() < 1e-3, signal.name
    assert (healthy.values["engine_rpm"] % 0.25 == 0).all()
    steps = healthy.values["throttle_position"] * 2.55
    assert np.abs(steps - np.rint(steps)).max() < 0.02


def test_positions_move_as_far_as_the_wheels_and_where_heading_says(healthy: Samples) -> None:
    speed = table(healthy, "speed") * MPH
    lat, lon = table(healthy, "gps_lat"), table(healthy, "gps_lon")
    north = np.diff(lat) * 111_320.0
    east = np.diff(lon) * 111_320.0 * np.cos(np.radians(lat[:, :1]))
    step = np.hypot(east, north)
    rolled = 0.5 * (speed[:, 1:] + speed[:, :-1])
    moving = rolled > 3.0
    assert np.abs(step - rolled)[moving].max() < 4.0  # two fixes' noise and 1 km/h steps
    assert abs(step[moving].sum() / rolled[moving].sum() - 1) < 0.01
    heading = np.radians(table(healthy, "heading"))
    straight = moving & (np.abs(np.sin(np.diff(heading))) < 0.01) & (rolled > 10.0)
    error = np.arctan2(east, north) - heading[:, 1:]
    assert np.abs(np.sin(error))[straight].max() < 0.3
    assert np.cos(error)[straight].min() > 0.9


def test_odometer_counts_what_the_wheels_roll(healthy: Samples) -> None:
    miles = table(healthy, "odometer")
    assert (np.diff(miles) >= 0).all()
    rolled = (table(healthy, "speed") * MPH).sum(axis=1) / MILE
    assert np.abs(miles[:, -1] - miles[:, 0] - rolled).max() < 0.5


def test_accelerometer_agrees_with_speed_and_with_yaw(healthy: Samples) -> None:
    speed = table(healthy, "speed") * MPH
    x, y, z = (table(healthy, f"accel_{axis}") for axis in "xyz")
    slope = (speed[:, 2:] - speed[:, :-2]) / 2.0
    bias = np.median(np.where(speed < 0.01, x, np.nan)[:, :600], axis=1, keepdims=True)
    residual = x[:, 1:-1] - slope - np.nan_to_num(bias)
    assert np.sqrt(np.mean(residual**2)) < 0.2
    assert np.corrcoef(x[:, 1:-1].ravel(), slope.ravel())[0, 1] > 0.95
    turn = np.angle(np.exp(1j * np.radians(np.diff(table(healthy, "heading")))))
    lateral = -0.5 * (speed[:, 1:] + speed[:, :-1]) * turn
    measured = 0.5 * (y[:, 1:] + y[:, :-1])
    turning = np.abs(lateral) > 0.5
    assert np.abs(measured - lateral)[turning].mean() < 0.2
    assert np.corrcoef(lateral[turning], measured[turning])[0, 1] > 0.95
    assert np.abs(z - GRAVITY).max() < 1.0


def test_engine_speed_fits_a_gear(fleet: Fleet, healthy: Samples) -> None:
    speed, rpm = table(healthy, "speed") * MPH, table(healthy, "engine_rpm")
    for vehicle in fleet.vehicles:
        v, n = speed[vehicle.index], rpm[vehicle.index]
        driving = (v > 8.0) & (n > 1.6 * vehicle.spec.idle_rpm)
        ratio = n[driving] / v[driving]
        gears = np.array(vehicle.spec.rpm_per_mps)
        error = np.abs(ratio[:, None] / gears - 1).min(axis=1)
        assert np.percentile(error, 90) < 0.04, vehicle.id


def test_fuel_only_falls_except_when_filling_up(healthy: Samples) -> None:
    fuel = table(healthy, "fuel_level")
    rises = np.diff(fuel) > 0
    engine = table(healthy, "ignition")[:, 1:] > 0
    assert not (rises & engine).any()
    assert (fuel[:, 0] - fuel.min(axis=1)).max() > 3.0
    assert fuel.min() > 13.0


def test_coolant_warms_up_to_the_thermostat(healthy: Samples) -> None:
    coolant, engine = table(healthy, "coolant_temp"), table(healthy, "ignition") > 0
    assert np.abs(np.diff(coolant)).max() <= 1.0
    assert coolant.max() <= 95
    assert (coolant[engine] > 80).mean() > 0.6


def runs(mask: np.ndarray) -> Ints:
    """Lengths of the stretches of True in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]


def test_healthy_driving_keeps_to_policy(fleet: Fleet, healthy: Samples) -> None:
    speed, rpm = table(healthy, "speed"), table(healthy, "engine_rpm")
    x, y = table(healthy, "accel_x"), table(healthy, "accel_y")
    engine, volts = table(healthy, "ignition") > 0, table(healthy, "battery_voltage")
    least_pull = {"truck": 0.28, "van": 0.36, "sedan": 0.40, "suv": 0.40}
    least_corner = {"truck": 0.32, "van": 0.40, "sedan": 0.45, "suv": 0.45}
    for vehicle in fleet.vehicles:
        i, name = vehicle.index, vehicle.spec.name
        limit = LIMITS[name]
        assert speed[i].max() < limit.speed_mph - 2
        assert rpm[i].max() < min(rpm_limit(name, vehicle.spec.redline_rpm), 3500) - 300
        assert x[i].min() > -0.83 * limit.braking_g * GRAVITY
        assert x[i].max() < 0.83 * least_pull[name] * GRAVITY
        assert np.abs(y[i]).max() < 0.83 * least_corner[name] * GRAVITY
        idle = runs(engine[i] & (speed[i] < 1.0))
        assert idle.max(initial=0) < 0.5 * limit.idling.total_seconds()
        assert (volts[i][engine[i]] > 13.3 * vehicle.voltage / 12).all()
        assert (volts[i][~engine[i]] > 12.2 * vehicle.voltage / 12).all()


def test_nothing_looks_stuck_or_jumps_on_a_healthy_vehicle(healthy: Samples) -> None:
    speed, rpm, engine = (table(healthy, n) for n in ("speed", "engine_rpm", "ignition"))
    assert np.abs(np.diff(speed)).max() < 10.0
    assert np.abs(np.diff(rpm)).max() < 4000.0
    same = (np.diff(speed) == 0) & (speed[:, 1:] > 0)
    assert max(runs(row).max(initial=0) for row in same) < 120
    still = (np.diff(rpm) == 0) & (engine[:, 1:] > 0)
    assert max(runs(row).max(initial=0) for row in still) < 20


def test_the_fleet_is_not_dull(healthy: Samples) -> None:
    speed, engine = table(healthy, "speed"), table(healthy, "ignition") > 0
    assert 0.3 < engine.mean() < 0.95
    driving = speed[engine]
    assert (driving < KMH).mean() > 0.03
    assert (driving > 55).mean() > 0.02
    assert ((driving > 15) & (driving < 45)).mean() > 0.3
