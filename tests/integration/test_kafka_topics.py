"""Topics made anew or grown while the flow runs: nothing collides or is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from installation import Installation
from kafka_topics import Topic, telemetry
from platform_run import PlatformRun, platform_run

from fleet_assets.errors import FleetError
from fleet_assets.kafka.read import read_ranges
from fleet_assets.local.flow_status import FlowStatus, flow_status
from fleet_assets.settings import resolve_endpoints

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., tuple[PlatformRun, Topic]]


@pytest.fixture(scope="module")
def base(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("kafka-topics")
    with platform_run(services, "kafka-topics", flow_home, lake) as run:
        yield run


@pytest.fixture
def make(base: PlatformRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A topic and a lake of the test's own; the definitions and the warehouse are shared."""

    def made(name: str, partitions: int = 1, **config: str) -> tuple[PlatformRun, Topic]:
        monkeypatch.setenv("FLEET_TOPIC", f"topic-{name}")
        monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "lake"))
        return base, Topic(base.platform.broker, f"topic-{name}").make(partitions, **config)

    return made


def status() -> FlowStatus:
    return flow_status(resolve_endpoints())


def landed(run: PlatformRun) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of `landings` by topic id."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    columns = ["kafka_topic_id", "kafka_partition", "offset_start", "offset_end", "messages"]
    for topic_id, *row in sorted(run.rows("landings").select(columns).rows()):
        found.setdefault(topic_id, []).append(tuple(row))
    return found


def test_a_topic_made_anew_is_another_source(make: Make) -> None:
    run, topic = make("anew", 2)
    topic.produce(telemetry(range(10)))
    topic.produce(telemetry(range(5)), partition=1)
    run.land()
    old = topic.state().source.topic_id
    topic.produce(telemetry(range(10, 13)))  # never landed: gone with the topic
    assert status().lag == {0: 3, 1: 0}

    topic.make_anew(2)
    topic.produce(telemetry(range(100, 104)))
    new = topic.state().source.topic_id
    assert status().lag == {0: 4, 1: 0}
    assert status().last_landed_offset == {}
    run.land()
    assert landed(run) == {old: [(0, 0, 10, 10), (1, 0, 5, 5)], new: [(0, 0, 4, 4)]}
    assert status().lag == {0: 0, 1: 0}
    assert run.rows("raw_telemetry").height == 19
    assert run.execute("verify", {}, {}).get_asset_check_evaluations()[0].passed
    assert all(result.success for result in run.refresh())
    outcomes = run.rows("telemetry_outcomes")
    by_source = {
        topic_id: rows["read"].sum() for (topic_id,), rows in outcomes.group_by("kafka_topic_id")
    }
    assert by_source == {old: 15, new: 4}


def test_a_landing_planned_for_the_old_topic_takes_nothing_of_the_new_one(make: Make) -> None:
    run, topic = make("planned")
    topic.produce(telemetry(range(10)))
    (request,) = run.tick("landing_sensor").run_requests or []
    topic.make_anew()
    topic.produce(telemetry(range(100, 120)))
    result = run.execute("landing", request.run_config, request.tags)
    assert not result.success
    failure = result.failure_data_for_node("land_ranges")
    assert failure is not None
    assert failure.user_failure_data is not None
    told = str(failure.user_failure_data.description)
    assert "made anew" in told
    assert "\n" not in told
    assert run.rows("raw_telemetry").is_empty()
    run.land()
    assert landed(run) == {topic.state().source.topic_id: [(0, 0, 20, 20)]}


def test_a_topic_made_anew_while_it_is_read_gives_nothing_more(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new topic may hold the very offsets that are read next."""
    run, topic = make("while-read")
    topic.produce(telemetry(range(300)), batch_num_messages=10)
    monkeypatch.setattr("fleet_assets.kafka.read.CHUNK_MESSAGES", 50)
    monkeypatch.setattr("fleet_assets.kafka.read._FETCH", 50)
    source = topic.state().source
    reading = read_ranges(run.platform.broker, topic.name, source.topic_id, {0: (0, 300)})
    first = next(reading)
    assert first.ranges == {0: (0, 50)}
    topic.make_anew()
    topic.produce(telemetry(range(1000, 1400)))
    with pytest.raises(FleetError, match="made anew"):
        list(reading)


def test_a_topic_that_is_gone_is_told_in_one_line(make: Make) -> None:
    run, topic = make("gone")
    topic.produce(telemetry(range(3)))
    (request,) = run.tick("landing_sensor").run_requests or []
    topic.delete()
    topic.wait_for_absence()
    with pytest.raises(FleetError, match="there is none") as told:
        run.tick("landing_sensor")
    assert "\n" not in str(told.value)
    assert not run.execute("landing", request.run_config, request.tags).success
    assert status().lag == {}
    topic.make()
    topic.produce(telemetry(range(4)))
    run.land()
    assert run.rows("raw_telemetry").height == 4


def test_partitions_that_are_added_are_landed_from_their_first_message(make: Make) -> None:
    run, topic = make("grown", 2)
    topic.produce(telemetry(range(5)))
    run.land()
    topic.add_partitions(70)  # more than any list of partitions that code could assume
    for partition in (2, 69):
        topic.produce(telemetry(range(partition + 1)), partition=partition)
    assert status().lag[69] == 70
    run.land()
    (rows,) = landed(run).values()
    assert rows == [(0, 0, 5, 5), (2, 0, 3, 3), (69, 0, 70, 70)]
    topic.produce(telemetry(range(70, 75)), partition=69)
    assert status().last_landed_offset == {0: 4, 2: 2, 69: 69}
    run.land()
    (rows,) = landed(run).values()
    assert rows[-1] == (69, 70, 75, 5)
    assert run.execute("verify", {}, {}).get_asset_check_evaluations()[0].passed


def test_an_empty_topic_asks_for_nothing(make: Make) -> None:
    run, _ = make("empty", 3)
    data = run.tick("landing_sensor")
    assert data.run_requests == []
    assert data.skip_message == "all that can be read has landed"
    assert status().lag == {0: 0, 1: 0, 2: 0}
    assert run.execute("verify", {}, {}).get_asset_check_evaluations()[0].passed
