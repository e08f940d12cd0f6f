"""The wire schema and the data dictionary say what the registries say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from fleet_assets.contracts.dictionary import REGENERATE, data_dictionary
from fleet_assets.contracts.reasons import REJECT_REASONS
from fleet_assets.contracts.signals import SIGNALS, Signal
from fleet_assets.contracts.tables import TABLES
from fleet_assets.contracts.wire import wire_schema
from fleet_assets.fleet_sim.simulation import Options

DICTIONARY = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
REAL = json.loads(
    '{"vehicle_id":"truck-7","timestamp":"2026-02-01T05:00:00.250Z","engine_rpm":1650.25,'
    '"speed":52.3,"throttle_position":31,"coolant_temp":90,"fuel_level":47.5,'
    '"gps":{"lat":41.881832,"lon":-87.623177},"accelerometer":{"x":0.1,"y":-0.2,"z":9.81},'
    '"odometer":120345.6,"battery_voltage":14.1,"driver_id":"d-1","private":false,'
    '"ignition":true,"dtc":["P0420"],"firmware":"1.2"}'
)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(wire_schema())
    return Draft202012Validator(wire_schema())


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_every_signal_is_in_the_wire_schema_with_its_bounds_and_may_be_null(
    signal: Signal,
) -> None:
    found = wire_schema()
    for key in signal.path:
        found = found["properties"][key]
    assert "null" in found["type"]
    assert signal.unit is None or signal.unit in found["description"]
    if signal.kind == "number":
        assert (found["minimum"], found["maximum"]) == (signal.minimum, signal.maximum)


@pytest.mark.parametrize(
    "change",
    [{}, {"timestamp": 1767243600250}, {"speed": None}, {"gps": None}, {"gps": {"lat": None}}],
)
def test_a_good_message_fits_the_wire_schema(
    validator: Draft202012Validator, change: dict[str, object]
) -> None:
    validator.validate(REAL | change)


@pytest.mark.parametrize(
    "change",
    [
        {"vehicle_id": ""},
        {"vehicle_id": "x" * 129},
        {"vehicle_id": "a\tb"},
        {"vehicle_id": None},
        {"timestamp": None},
        {"timestamp": True},
        {"speed": 500},
        {"speed": "50"},
        {"gps": {"lat": 91}},
        {"dtc": ["X1"]},
        {"dtc": "P0420"},
        {"ignition": 1},
        {"driver_id": ""},
    ],
    ids=str,
)
def test_a_bad_message_does_not_fit_the_wire_schema(
    validator: Draft202012Validator, change: dict[str, object]
) -> None:
    assert not validator.is_valid(REAL | change)


def test_messages_of_the_simulator_fit_the_wire_schema(
    validator: Draft202012Validator, tmp_path: Path
) -> None:
    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.fleet_sim.runner import Reports, Runner
    from fleet_assets.fleet_sim.simulation import Simulation
    from fleet_assets.fleet_sim.sinks import FileSink

    out = tmp_path / "messages.ndjson"
    options = Options(vehicles=3, start_ms=1767243600000, span_ms=20_000)
    with Progress("", None, shown=False) as progress, FileSink(out) as sink:
        Runner(Simulation(options), sink, "max", Reports(None, None), progress).run()
    lines = out.read_bytes().splitlines()
    assert len(lines) == 60
    for line in lines:
        validator.validate(json.loads(line))


def test_the_dictionary_names_every_signal_reason_table_and_column() -> None:
    text = data_dictionary()
    named = [signal.wire_name for signal in SIGNALS] + list(REJECT_REASONS)
    named += [table.name for table in TABLES]
    named += [column.name for table in TABLES for column in table.columns]
    assert [name for name in named if f"`{name}`" not in text] == []


def test_the_dictionary_in_docs_is_current() -> None:
    assert DICTIONARY.read_text(encoding="utf-8") == data_dictionary(), (
        f"docs/data-dictionary.md is not current: run `{REGENERATE}`"
    )
