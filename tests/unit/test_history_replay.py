"""What a backtest finds in days, trips and codes."""

from __future__ import annotations

import pytest
from outings import BOOK, FIRST, VEHICLES, Arriving, Outing, usual

from fleet_assets.lake.history_replay import history_findings
from fleet_assets.lake.rule_replay import Variant
from fleet_assets.lake.store import Lake
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.proposal import with_proposed
from fleet_assets.rules.resolve import InForce
from partitions.hours import HOUR, hour_key


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Fuel goes over a stop, the level is lost, a day is idled away, and a code comes."""
    arriving = Arriving(Lake(str(tmp_path_factory.mktemp("lake"))))
    idle = Outing(4, 50.0, idle_h=3, vehicle_id="v2", codes=("P0301",))
    arriving.take(*usual(7), Outing(7, 30.0), idle, Outing(8, None), Outing(9, None))
    return arriving.lake


def found(lake: Lake, *changes: str, days: tuple[float, float] = (0, 10)) -> list[str]:
    known = InForce(VEHICLES)
    variant = Variant(*with_proposed(read_catalogue(), known, changes))
    hours = [hour_key(FIRST + day * 24 * HOUR) for day in days]
    (rows,) = history_findings(lake, hours, [variant])
    return sorted(rows["condition"])


def test_it_finds_what_the_pipeline_finds(lake: Lake) -> None:
    stored = lake.open("rule_anomalies").read()
    assert BOOK.catalogues[-1] == read_catalogue()
    mine = stored.filter(stored["condition"].str.slice(0, 3).is_in(["R17", "R28", "R37", "R41"]))
    assert found(lake) == sorted(mine["condition"])
    assert found(lake) == ["R17", "R28", "R37/fuel_level", "R41/P0301"]


def test_a_proposed_number_or_stage_counts(lake: Lake) -> None:
    assert found(lake, "R28.drop=40") == ["R17", "R37/fuel_level", "R41/P0301"]
    assert found(lake, "R17.share=0.99", "R41.stage=off") == ["R28", "R37/fuel_level"]
    assert "R42/P0301" in found(lake, "R42.trips=1")


def test_only_what_begins_in_the_span_counts_by_all_that_was_before(lake: Lake) -> None:
    assert found(lake, days=(8, 10)) == ["R37/fuel_level"]
    assert found(lake, days=(0, 3)) == []
