"""Law 3 on the real lake and warehouse: order, batching, repetition and cuts change nothing.

Hypothesis draws messages, the order and the batches in which they arrive, and an interleaving of
landings, refreshes, rebuilds, loads, registrations, and processes that die between two commits.
Whatever it draws must end in the tables that one landing and one rebuild of the same messages give.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dying import dying_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installation import Installation
from polars.testing import assert_frame_equal
from telemetry_data import LATE_AFTER, NOW, POLICY, SOURCE, message
from warehouse_data import fresh_warehouse, query

from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.landing import committed_offsets, land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.telemetry.placement import place
from fleet_assets.warehouse.from_lake import load_hour

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

HOURS = ("2026-02-01T04", "2026-02-01T05")
PARTITIONS = (0, 1)
TANKS = pl.DataFrame({"vehicle_id": ["v1"], "tank_gallons": [25.0]})
TOTALS = ["read", "accepted", "duplicate", "rejected", "pending", "late"]
CUTS = (
    "landing.raw_committed",
    "refresh.before_write",
    "refresh.telemetry_committed",
    "refresh.telemetry_rejects_committed",
    "refresh.telemetry_outcomes_committed",
    "refresh.vehicle_outcomes_committed",
    "hours.committed",
    "load.before_commit",
    "load.committed",
)


@dataclass(frozen=True)
class Arrival:
    """One message as Kafka keeps it: its append time stays, whatever order it comes in."""

    value: bytes | None
    append_time: datetime
    partition: int


VALUES = st.one_of(
    st.sampled_from([b"oops", b"", None, b"[1]", message("stranger", speed=1)]),
    st.builds(
        lambda vehicle, hour, second, signals: message(
            vehicle, f"2026-02-01T{hour:02}:10:{second:02}Z", **signals
        ),
        st.sampled_from(["v1", "v2", "later"]),
        st.sampled_from([4, 5]),
        st.sampled_from([0, 1, 30]),
        st.sampled_from([
            {"speed": 30, "engine_rpm": 900}, {"speed": 31, "engine_rpm": 900}, {"speed": None},
            {"speed": 999, "fuel_level": 50}, {"firmware": "1", "odometer": 7}, {},
        ]),
    ),
)  # fmt: skip
ARRIVALS = st.builds(
    Arrival,
    VALUES,
    st.sampled_from([NOW, NOW - timedelta(hours=1), NOW + timedelta(hours=3)]),
    st.sampled_from(PARTITIONS),
)
STEPS = st.one_of(
    st.tuples(st.just("land"), st.integers(1, 6)),
    st.tuples(st.just("refresh"), st.sampled_from(HOURS)),
    st.tuples(st.just("rebuild"), st.sampled_from(HOURS)),
    st.tuples(st.just("load"), st.sampled_from(HOURS)),
    st.tuples(st.just("register"), st.none()),
    st.tuples(st.just("cut"), st.sampled_from(CUTS)),
)


@dataclass
class Flow:
    """A lake and a warehouse, and messages that have still to arrive."""

    lake: Lake
    postgres_url: str
    waiting: list[Arrival]
    known: set[str] = field(default_factory=lambda: {"v1", "v2"})

    def land(self, number: int) -> None:
        """The next messages arrive, in one landing; what a landing that died has landed, stays."""
        batch = self.waiting[:number]
        if not batch:
            return
        before = committed_offsets(self.lake.url, SOURCE.cluster_id, SOURCE.topic_id, PARTITIONS)
        starts = {p: before.get(p, 0) for p in PARTITIONS}
        by_partition = {p: [a for a in batch if a.partition == p] for p in PARTITIONS}
        ranges = {p: (starts[p], starts[p] + len(a)) for p, a in by_partition.items() if a}
        rows = [(p, starts[p] + n, a) for p in ranges for n, a in enumerate(by_partition[p])]
        frame = place(
            pl.DataFrame(
                {
                    "append_time": [a.append_time for _, _, a in rows],
                    "key": pl.Series([None] * len(rows), dtype=pl.Binary),
                    "value": pl.Series([a.value for _, _, a in rows], dtype=pl.Binary),
                },
                schema_overrides={"append_time": pl.Datetime("us", "UTC")},
            ),
            POLICY,
        ).with_columns(
            kafka_topic_id=pl.lit(SOURCE.topic_id),
            kafka_partition=pl.Series([p for p, _, _ in rows], dtype=pl.Int32),
            kafka_offset=pl.Series([o for _, o, _ in rows], dtype=pl.Int64),
            offset_start=pl.Series([ranges[p][0] for p, _, _ in rows], dtype=pl.Int64),
            offset_end=pl.Series([ranges[p][1] for p, _, _ in rows], dtype=pl.Int64),
        )
        try:
            land(self.lake, SOURCE, ranges, frame)
        finally:
            after = committed_offsets(self.lake.url, SOURCE.cluster_id, SOURCE.topic_id, PARTITIONS)
            if after != before:
                self.waiting = self.waiting[number:]

    def refresh(self, hour: str, *, rebuild: bool = False) -> None:
        known = frozenset(self.known)
        refresh_hour(self.lake, hour, known, LATE_AFTER, force_rebuild=rebuild)

    def load(self, hour: str) -> None:
        refresh_vehicle_hours(self.lake, hour, TANKS)
        load_hour(self.lake, self.postgres_url, hour, None)

    def do(self, step: str, what: Any) -> None:
        if step == "land":
            self.land(what)
        elif step == "register":
            self.known.add("later")
        elif step == "load":
            self.load(what)
        elif step == "cut":
            with dying_at(what):
                self.finish(some=3)
        else:
            self.refresh(what, rebuild=step == "rebuild")

    def finish(self, some: int | None = None) -> None:
        """All that is left (or some of it) arrives and is shown."""
        self.land(len(self.waiting) if some is None else some)
        for hour in self.hours():
            self.refresh(hour)
            self.load(hour)

    def hours(self) -> list[str]:
        files = self.lake.open("raw_telemetry").files
        return [] if files.is_empty() else sorted(set(files["event_hour"]))

    def tables(self) -> dict[str, pl.DataFrame]:
        """All that has to be the same: rows without what tells the history of the landings."""
        open_ = self.lake.open
        rejects = ["event_hour", "reason", "detail", "vehicle_id", "event_time", "append_time",
                   "value"]  # fmt: skip
        return {
            "telemetry": open_("telemetry").read().sort("vehicle_id", "event_time"),
            "rejects": open_("telemetry_rejects").read(columns=rejects).sort(rejects),
            # of equal messages the first to arrive is the accepted one, in whichever partition
            "outcomes": open_("telemetry_outcomes").read()
            .group_by("event_hour").agg(pl.col(TOTALS).sum()).sort("event_hour"),
            "read": open_("telemetry_outcomes").read()
            .group_by("event_hour", "kafka_partition").agg(pl.col("read", "late").sum())
            .sort("event_hour", "kafka_partition"),
            "vehicle_outcomes": open_("vehicle_outcomes").read().sort("event_hour", "vehicle_id"),
            "vehicle_hours": open_("vehicle_hours").read().sort("event_hour", "vehicle_id"),
            **{f"warehouse.{name}": self.loaded(name)
               for name in ("vehicle_hours", "vehicle_outcomes")},
        }  # fmt: skip

    def loaded(self, name: str) -> pl.DataFrame:
        order = "event_hour, vehicle_id"
        rows = query(self.postgres_url, f"select * from warehouse.{name} order by {order}")
        return pl.DataFrame(rows, orient="row", infer_schema_length=None)


@pytest.fixture(scope="module")
def warehouse(services: Installation) -> str:
    return fresh_warehouse(services, "order_law")


def empty(postgres_url: str) -> None:
    query(
        postgres_url,
        "with a as (delete from warehouse.vehicle_hours), b as (delete from"
        " warehouse.vehicle_outcomes), c as (delete from warehouse.telemetry_outcomes),"
        " d as (delete from warehouse.stage_ledger) select 1",
    )


def canonical(arrivals: Sequence[Arrival], folder: Path, warehouse: str) -> dict[str, pl.DataFrame]:
    """One landing, one rebuild of each hour."""
    empty(warehouse)
    flow = Flow(Lake(str(folder)), warehouse, list(arrivals), {"v1", "v2", "later"})
    flow.land(len(arrivals))
    for hour in flow.hours():
        flow.refresh(hour, rebuild=True)
        flow.load(hour)
    return flow.tables()


def assert_law(
    warehouse: str, messages: list[Arrival], again: list[int], order: Any, steps: list[Any]
) -> None:
    """Any way of arriving and working ends in the canonical tables."""
    arrivals = messages + [messages[n % len(messages)] for n in again]
    with tempfile.TemporaryDirectory() as folder:
        expected = canonical(arrivals, Path(folder, "canonical"), warehouse)
        empty(warehouse)
        shuffled = list(arrivals)
        order.shuffle(shuffled)
        flow = Flow(Lake(f"{folder}/lake"), warehouse, shuffled)
        for step, what in steps:
            flow.do(step, what)
        flow.known.add("later")
        flow.finish()
        flow.finish()  # a cut landing leaves what it had to arrive
        for name, found in flow.tables().items():
            assert_frame_equal(found, expected[name], check_exact="vehicle_hours" not in name)
        accounts = account(flow.lake, flow.hours())
        assert {a.event_hour: a.differences for a in accounts if a.differences or a.pending} == {}
        assert offset_differences(flow.lake) == []


DRAWN = {
    "messages": st.lists(ARRIVALS, min_size=1, max_size=14),
    "again": st.lists(st.integers(0, 100), max_size=6),
    "order": st.randoms(use_true_random=False),
    "steps": st.lists(STEPS, max_size=10),
}
QUIETLY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@given(**DRAWN)
@settings(max_examples=10, **QUIETLY)
def test_any_order_and_interleaving_ends_in_the_same_tables(warehouse: str, **drawn: Any) -> None:
    assert_law(warehouse, **drawn)


@pytest.mark.soak
@given(**DRAWN)
@settings(max_examples=300, **QUIETLY)
def test_any_order_and_interleaving_ends_in_the_same_tables_at_length(
    warehouse: str, **drawn: Any
) -> None:
    assert_law(warehouse, **drawn)
