"""The simulator's messages: determinism, accounting, and what happens on the way."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.corrupt import CORRUPTIONS
from fleet_assets.fleet_sim.fleet import VEHICLE_COLUMNS, Fleet
from fleet_assets.fleet_sim.manifest import Manifest
from fleet_assets.fleet_sim.pacing import Pacer
from fleet_assets.fleet_sim.simulation import Options, Simulation
from fleet_assets.fleet_sim.sinks import FileSink
from fleet_assets.fleet_sim.times import parse_duration, parse_range, parse_rate
from fleet_assets.fleet_sim.transport import Messages, Mishaps
from fleet_assets.fleet_sim.vin import check_digit

START_MS = 1_767_225_600_000
MISHAPS = Mishaps(late=0.05, reorder=0.03, duplicate=0.04, corrupt=0.06, late_by_s=(5.0, 900.0))


def everything(options: Options, block: int = 10_000) -> list[Messages]:
    simulation = Simulation(options)
    batches = []
    while (batch := simulation.block(block)) is not None:
        batches.append(batch)
    return batches


def digest(batches: Sequence[Messages]) -> str:
    text = hashlib.sha256()
    for batch in batches:
        for vehicle, payload in zip(batch.vehicle.tolist(), batch.payload.tolist(), strict=True):
            text.update(b"%d %b\n" % (vehicle, payload))
    return text.hexdigest()


def options(seed: int = 1, **changes: object) -> Options:
    base: dict[str, object] = {
        "vehicles": 9, "start_ms": START_MS, "span_ms": 900_000, "seed": seed,
        "mishaps": MISHAPS, "faults": 3.0,
    }  # fmt: skip
    return Options(**(base | changes))  # type: ignore[arg-type]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**40), block=st.integers(1, 20_000))
def test_messages_depend_on_seed_and_options_not_on_block_size(seed: int, block: int) -> None:
    wanted = options(seed, vehicles=5, span_ms=800_000, faults=1.0)
    assert digest(everything(wanted)) == digest(everything(wanted, max(block, 40)))


def test_another_seed_gives_other_messages() -> None:
    assert digest(everything(options(1))) != digest(everything(options(2)))


def test_a_skipped_start_leaves_the_rest_as_it_was() -> None:
    whole = everything(options(mishaps=Mishaps(), span_ms=7_200_000, faults=0.0))
    rest = everything(options(mishaps=Mishaps(), span_ms=7_200_000, faults=0.0, skip_ms=3_600_000))
    expected = [p for b in whole for p in b.take(b.event_ms >= START_MS + 3_600_000).payload]
    assert [p for b in rest for p in b.payload] == expected


def test_hours_that_are_passed_over_leave_the_others_as_they_were() -> None:
    hour_ms, given = 3_600_000, options(mishaps=Mishaps(), span_ms=None, interval_ms=10_000)
    steps = hour_ms // given.interval_ms
    driven, skipping = Simulation(given), Simulation(given)
    hours = [driven.samples(hour * steps, (hour + 1) * steps) for hour in range(3)]
    skipping.samples(0, steps)
    skipping.pass_over(2 * hour_ms, hour_ms)
    found = skipping.samples(2 * steps, 3 * steps)
    for name, values in hours[2].values.items():
        np.testing.assert_array_equal(found.values[name], values)
    np.testing.assert_array_equal(found.time_ms, hours[2].time_ms)


def test_manifest_equals_what_a_consumer_counts() -> None:
    batches = everything(options())
    manifest = Manifest(Simulation(options()).fleet.ids)
    keys: Counter[tuple[str, str]] = Counter()
    rejected = total = bad_values = 0
    for batch in batches:
        manifest.add(batch)
        for payload in batch.payload:
            total += 1
            try:
                message = json.loads(payload.decode(), parse_constant=str)  # NaN costs its value
                key = message["vehicle_id"], message["timestamp"]
                good = key[1].endswith("Z")
            except (ValueError, KeyError, TypeError):
                good = False
            if good:
                keys[key] += 1
                bad_values += message["engine_rpm"] in ("fast", 20000.0, "NaN")
            rejected += not good
    counts = manifest.summary()
    assert counts["messages"] == total
    assert counts["unique_valid_keys"] == len(keys)
    assert counts["duplicates"] == sum(keys.values()) - len(keys)
    assert counts["rejected"] == rejected == sum(counts["rejected_by_reason"].values())
    value_kinds = ("wrong_type", "out_of_bounds", "nan")
    assert bad_values == sum(counts["corrupt"][kind] for kind in value_kinds)
    for name in ("messages", "unique_valid_keys", "duplicates", "rejected", "late"):
        assert sum(v[name] for v in counts["per_vehicle"].values()) == counts[name]


def test_shares_are_as_asked() -> None:
    samples = 40 * 2000
    batches = everything(options(vehicles=40, span_ms=2_000_000, faults=0.0), 50_000)

    def share(name: str) -> float:
        return sum(int(getattr(b, name).sum()) for b in batches) / samples

    assert share("late") == pytest.approx(MISHAPS.late, abs=0.004)
    assert share("reordered") == pytest.approx(MISHAPS.reorder, abs=0.004)
    assert share("copy") == pytest.approx(MISHAPS.duplicate, abs=0.004)
    spoilt = Counter(k for b in batches for k in b.corrupt[b.corrupt >= 0].tolist())
    assert sum(spoilt.values()) / samples == pytest.approx(MISHAPS.corrupt, abs=0.004)
    assert len(spoilt) == len(CORRUPTIONS)


def test_late_messages_come_within_the_asked_delay_and_in_order_of_delivery() -> None:
    messages = everything(options(), 500)
    delivery = np.concatenate([b.delivery_ms for b in messages])
    assert (np.diff(delivery) >= 0).all()
    late = np.concatenate([(b.delivery_ms - b.event_ms)[b.late] for b in messages])
    assert late.min() >= 5_000
    assert late.max() <= 900_000
    assert np.median(late) < 200_000  # most are a little late, few are very late


def test_every_message_has_the_wire_format() -> None:
    fleet = Simulation(options()).fleet
    for batch in everything(options(mishaps=Mishaps(), span_ms=720_000)):
        for vehicle, payload in zip(batch.vehicle.tolist(), batch.payload.tolist(), strict=True):
            message = json.loads(payload)
            assert tuple(message) == ("vehicle_id", "timestamp", *fleet.vehicles[vehicle].keys)
            assert message["vehicle_id"] == fleet.ids[vehicle]
            assert len(message["timestamp"]) == len("2026-01-01T00:00:00.000Z")
            if "gps" in message:
                assert tuple(message["gps"]) == ("lat", "lon")
            if "accelerometer" in message:
                assert tuple(message["accelerometer"]) == ("x", "y", "z")


def test_vehicles_are_valid_and_differ_in_their_sensors() -> None:
    fleet = Fleet(60, 1)
    assert {row["vehicle_type"] for row in fleet.rows} == {"truck", "sedan", "van", "suv"}
    assert len({row["vin"] for row in fleet.rows + Fleet(60, 1, "DEMO").rows}) == 120
    assert all(row["vin"][8] == check_digit(row["vin"]) for row in fleet.rows)
    assert all(tuple(row) == VEHICLE_COLUMNS for row in fleet.rows)
    assert len(fleet.profiles) > 5


def test_a_stop_is_noticed_and_what_was_sent_is_on_the_disk(tmp_path: Path) -> None:
    stop, sent = Event(), 0
    pacer = Pacer(1e9, stop)
    with FileSink(tmp_path / "out.ndjson.zst") as sink:
        for batch in everything(options()):
            for part in pacer.slices(batch.delivery_ms):
                messages = batch.take(part)
                sink.send([None] * len(messages), messages.payload.tolist())
                sent += len(messages)
                stop.set()
    assert sink.acknowledged == sent < 9_000


def test_a_rate_is_kept() -> None:
    pacer, sent = Pacer(1000.0, Event()), 0
    for part in pacer.slices(np.zeros(300, np.int64)):
        sent += part.stop - part.start
        assert sent <= 320
    assert sent == 300


@pytest.mark.parametrize("text", ["5x", "", "10", "1h and 2m"])
def test_a_bad_duration_is_explained(text: str) -> None:
    with pytest.raises(FleetError, match="is no duration"):
        parse_duration(text)


def test_durations_ranges_and_rates_are_read() -> None:
    assert parse_duration("1h30m").total_seconds() == 5400
    assert [d.total_seconds() for d in parse_range("10s..2h")] == [10, 7200]
    assert (parse_rate("1x"), parse_rate("max"), parse_rate("5e3")) == ("1x", "max", 5000.0)
    with pytest.raises(FleetError, match="is no rate"):
        parse_rate("quick")


def test_faults_that_do_not_fit_the_span_are_refused() -> None:
    with pytest.raises(FleetError, match="too short"):
        Simulation(options(span_ms=60_000))
