"""Law 3: an hour is a function of its messages; batching and order of arrival change nothing."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_data import HOUR, LATE_AFTER, message, placed, raw, sorted_rows

from fleet_assets.contracts.tables import (
    TELEMETRY,
    TELEMETRY_OUTCOMES,
    TELEMETRY_REJECTS,
    VEHICLE_OUTCOMES,
)
from fleet_assets.telemetry.hour import Base, HourStep, step
from fleet_assets.telemetry.outcomes import outcomes_after, vehicle_outcomes_after
from fleet_assets.telemetry.resolve import CONFLICTING, KEY
from fleet_assets.telemetry.validation import validate

KNOWN = frozenset({"v1", "v2"})
TOTALS = ["read", "accepted", "duplicate", "rejected", "pending", "late"]
TRACE = ["landing_version", "kafka_topic_id", "kafka_partition", "kafka_offset"]

MESSAGES = st.one_of(
    st.sampled_from([b"oops", b"", None, b'{"vehicle_id":"v1"}', message("stranger", speed=1)]),
    st.builds(
        lambda vehicle, minute, values: message(
            vehicle, f"2026-02-01T05:{minute:02}:00Z", **values
        ),
        st.sampled_from(["v1", "v2"]),
        st.sampled_from([0, 29]),
        st.sampled_from(
            [{}, {"speed": 1}, {"speed": 1.0}, {"speed": 2}, {"speed": 1, "heading": 2},
             {"speed": None}, {"speed": 999}, {"firmware": "1"}]
        ),
    ),
)  # fmt: skip


class Hour:
    """The tables of one hour, kept in memory as the refresh keeps them in the lake."""

    def __init__(self) -> None:
        self.messages = raw(placed([])).clear()
        self.telemetry = TELEMETRY.polars_schema.to_frame()
        self.rejects = TELEMETRY_REJECTS.polars_schema.to_frame()
        self.outcomes = TELEMETRY_OUTCOMES.polars_schema.to_frame()
        self.vehicles = VEHICLE_OUTCOMES.polars_schema.to_frame()

    def take(self, new: pl.DataFrame) -> None:
        before = self.messages
        self.apply(
            step(
                new,
                KNOWN,
                Base(
                    lambda keys: self.telemetry.join(keys, on=KEY, how="semi"),
                    lambda keys: before.join(keys, on=KEY, how="semi"),
                ),
            )
        )
        self.messages = pl.concat([before, new])

    def apply(self, change: HourStep) -> None:
        kept = self.telemetry.join(change.contested, on=KEY, how="anti")
        self.telemetry = pl.concat([kept, change.telemetry_added])
        conflicts = self.rejects.filter(pl.col("reason") == CONFLICTING)
        others = self.rejects.filter(pl.col("reason") != CONFLICTING)
        still = conflicts.join(change.contested, on=KEY, how="anti")
        self.rejects = pl.concat([others, still, change.rejects_added])
        self.outcomes = outcomes_after(self.outcomes, change.verdicts, LATE_AFTER)
        self.vehicles = vehicle_outcomes_after(self.vehicles, change.verdicts, LATE_AFTER)

    def check(self) -> None:
        """Every message is accounted for, and all tables fulfil their contracts."""
        for name, rows in (
            ("telemetry", self.telemetry),
            ("telemetry_rejects", self.rejects),
            ("telemetry_outcomes", self.outcomes),
            ("vehicle_outcomes", self.vehicles),
        ):
            assert validate(name, rows, HOUR).failures == ()
        sums = self.outcomes.select(pl.col(TOTALS).sum()).row(0, named=True)
        assert sums == self.vehicles.select(pl.col(TOTALS).sum()).row(0, named=True)
        assert sums["read"] == self.messages.height
        assert sums["accepted"] == self.telemetry.height
        assert sums["rejected"] == self.rejects.height
        assert sums["pending"] == 0


def batches(values: list[bytes | None], cuts: list[int]) -> list[pl.DataFrame]:
    """Raw rows of the messages, landed in parts that end at the cuts."""
    bounds = sorted({min(cut, len(values)) for cut in cuts} | {0, len(values)})
    return [
        raw(placed(values[first:last], start=first), version)
        for version, (first, last) in enumerate(pairwise(bounds), start=1)
    ]


def total(outcomes: pl.DataFrame) -> list[tuple[object, ...]]:
    by_partition = outcomes.group_by("kafka_topic_id", "kafka_partition").agg(pl.col(TOTALS).sum())
    return sorted_rows(by_partition)


@settings(deadline=None, max_examples=12)
@given(data=st.data(), values=st.lists(MESSAGES, min_size=1, max_size=12))
def test_any_steps_in_any_order_end_in_the_rows_of_a_rebuild(
    data: st.DataObject, values: list[bytes | None]
) -> None:
    whole = Hour()
    whole.messages = raw(placed(values))
    whole.apply(step(whole.messages, KNOWN))
    whole.check()

    order = data.draw(st.permutations(values))
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=3))
    stepped = Hour()
    for part in batches(order, cuts):
        stepped.take(part)
        stepped.check()

    assert sorted_rows(stepped.telemetry) == sorted_rows(whole.telemetry)
    assert sorted_rows(stepped.rejects, TRACE) == sorted_rows(whole.rejects, TRACE)
    assert total(stepped.outcomes) == total(whole.outcomes)
    assert sorted_rows(stepped.vehicles) == sorted_rows(whole.vehicles)


def test_the_message_with_most_signals_wins_and_the_row_is_marked() -> None:
    hour = Hour()
    for part in batches([message(speed=1, heading=2), message(speed=1), message(speed=1)], [1, 2]):
        hour.take(part)
    assert hour.telemetry.select("speed", "heading", "conflict").rows() == [(1, 2, True)]
    assert hour.rejects["reason"].to_list() == [CONFLICTING]
    assert total(hour.outcomes) == [("topic", 0, 3, 1, 1, 1, 0, 3)]


def test_equal_values_are_plain_duplicates_however_they_are_written() -> None:
    hour = Hour()
    spaced = b'{ "timestamp": "2026-02-01T06:00:00+01:00", "speed": 1.00, "vehicle_id": "v1" }'
    for part in batches([message(speed=1), spaced], [1]):
        hour.take(part)
    assert hour.telemetry["conflict"].to_list() == [False]
    assert total(hour.outcomes) == [("topic", 0, 2, 1, 1, 0, 0, 2)]
