"""The end state against what was sent: counted from outside, and against a pass without faults."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from polars.testing import assert_frame_equal
from victim import landing, refresh
from warehouse_data import query

from fleet_assets.assets.platform import Platform
from fleet_assets.kafka.topic import topic_state
from fleet_assets.lake.by_onset import newest_event
from fleet_assets.lake.chains import hours_of
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.feature_windows import hours_to_window, refresh_feature_windows
from fleet_assets.lake.landed import landed_hours
from fleet_assets.lake.model_anomalies import by_models
from fleet_assets.lake.model_segments import hours_to_score, refresh_model_segments
from fleet_assets.lake.rule_anomalies import by_rules
from fleet_assets.lake.segments import refresh_segments
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import by_travel, refresh_trip_segments
from fleet_assets.model_flow.book import model_book
from fleet_assets.warehouse.rule_book import rule_book
from partitions.hours import hour_key

COUNTS = ["read", "accepted", "duplicate", "rejected", "pending"]
HISTORY = ["landing_version", "offset_start", "offset_end"]
"""Columns that tell how the messages were cut into landings: not part of what they say."""
SAME_ROWS = {
    "raw_telemetry": ["kafka_partition", "kafka_offset"],
    "telemetry": ["vehicle_id", "event_time"],
    "telemetry_rejects": ["kafka_partition", "kafka_offset"],
    "vehicle_outcomes": ["event_hour", "vehicle_id"],
    "vehicle_hours": ["event_hour", "vehicle_id"],
}
"""Tables whose rows must be the same whatever was killed, with the columns that order them."""


class FaultFree(Platform):
    """The same platform with a lake and a warehouse of its own, which nothing has disturbed."""

    root: str
    warehouse: str

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return Lake(self.root)

    @property
    def postgres_url(self) -> str:
        """Its warehouse."""
        return self.warehouse


def fault_free_pass(root: Path, warehouse: str) -> FaultFree:
    """Lands all messages of the topic at once and makes every hour once."""
    platform = FaultFree(root=str(root), warehouse=warehouse)
    assert landing(platform, most=10**9) > 0
    for hour in landed_hours(platform.lake.open("raw_telemetry")):
        refresh(platform, hour.event_hour)
    return platform


def assert_nothing_lost_or_doubled(
    sent: list[dict[str, Any]], platform: Platform, *, raw_expires: bool = False
) -> str:
    """Compares with what the senders wrote down; returns the comparison in words."""
    lake = platform.lake
    outcomes = lake.open("telemetry_outcomes").read()
    read, accepted, duplicate, rejected, pending = outcomes.select(pl.col(COUNTS).sum()).row(0)
    expected = {
        "read": sum(s["acknowledged"] for s in sent),
        "accepted": sum(s["unique_valid_keys"] for s in sent),
        "duplicate": sum(s["duplicates"] for s in sent),
        "rejected": sum(s["rejected"] for s in sent),
    }
    found = {"read": read, "accepted": accepted, "duplicate": duplicate, "rejected": rejected}
    assert found == expected
    assert pending == 0
    raw = lake.open("raw_telemetry").read(columns=["kafka_partition", "kafka_offset"])
    assert raw.height == raw.unique().height
    assert raw.height == expected["read"] or raw_expires
    hours = outcomes["event_hour"].unique().to_list()
    accounts = account(lake, hours)
    assert {a.event_hour: a.differences for a in accounts if a.differences or a.pending} == {}
    telemetry = lake.open("telemetry").read(columns=["vehicle_id", "event_time"])
    assert telemetry.height == telemetry.unique().height == expected["accepted"]
    rejects = lake.open("telemetry_rejects").read(columns=["kafka_partition", "kafka_offset"])
    assert rejects.height == rejects.unique().height == expected["rejected"]
    return (
        f"sent {expected['read']:,} = accepted {accepted:,} + duplicate {duplicate:,}"
        f" + rejected {rejected:,}; lost {expected['read'] - read}, doubled"
        f" {raw.height - raw.unique().height + telemetry.height - telemetry.unique().height}"
    )


def assert_counts_add_up(platform: Platform) -> str:
    """Per Kafka partition and event hour, against counts that none of our code has made."""
    lake = platform.lake
    per_partition, per_hour = count_in_kafka(platform)
    outcomes = lake.open("telemetry_outcomes").read()
    by_partition = outcomes.group_by("kafka_partition").agg(pl.col("read").sum())
    assert dict(by_partition.iter_rows()) == per_partition
    raw = lake.open("raw_telemetry").read(
        columns=["kafka_partition", "event_hour", "reject_reason"]
    )
    placed = raw.filter(pl.col("reject_reason").is_null())
    cells = placed.group_by("kafka_partition", "event_hour").len()
    assert {(p, h): n for p, h, n in cells.iter_rows()} == dict(per_hour)
    read = outcomes.group_by("kafka_partition", "event_hour").agg(pl.col("read").sum())
    landed = raw.group_by("kafka_partition", "event_hour").agg(read=pl.len().cast(pl.Int64))
    order = ["kafka_partition", "event_hour"]
    assert_frame_equal(read.sort(order), landed.sort(order))
    assert offset_differences(lake) == []
    return f"counts agree in {len(per_partition)} partitions x {raw['event_hour'].n_unique()} hours"


def assert_same_as_fault_free(
    platform: Platform, clean: Platform, without: Collection[str] = ()
) -> str:
    """All rows of lake (but for some tables) and warehouse are those of an undisturbed pass."""
    for table, order in SAME_ROWS.items():
        if table in without:
            continue
        ours, theirs = (
            p.lake.open(table).read().drop(HISTORY, strict=False).sort(order)
            for p in (platform, clean)
        )
        # figures of vehicle_hours are sums of parts: the last digit depends on how they were cut
        assert_frame_equal(ours, theirs, check_exact=table != "vehicle_hours")
    totals = [
        p.lake.open("telemetry_outcomes").read()
        .group_by("event_hour", "kafka_partition").agg(pl.col([*COUNTS, "late"]).sum())
        .sort("event_hour", "kafka_partition")
        for p in (platform, clean)
    ]  # fmt: skip
    assert_frame_equal(*totals)
    for table in ("vehicle_hours", "vehicle_outcomes"):
        ours, theirs = (
            pl.DataFrame(
                query(
                    p.postgres_url,
                    f"select * from warehouse.{table} order by event_hour, vehicle_id",
                ),
                orient="row",
                infer_schema_length=None,
            )
            for p in (platform, clean)
        )
        assert_frame_equal(ours, theirs)
    rows = clean.lake.open("telemetry").read(columns=["event_hour"]).height
    return f"content equal to a fault-free pass: {rows:,} rows of telemetry"


def assert_marts_show(sent: list[dict[str, Any]], postgres_url: str) -> str:
    """The marts hold the same totals."""
    messages = query(postgres_url, "select sum(messages)::int from marts.fct_vehicle_hours")
    assert messages == [(sum(s["unique_valid_keys"] for s in sent),)]
    reasons: Counter[str] = Counter()
    for portion in sent:
        reasons.update(portion["rejected_by_reason"])
    shown = query(
        postgres_url,
        "select sum(read)::int, sum(duplicate)::int, "
        + ", ".join(f"sum(rejected_{reason})::int" for reason in reasons)
        + " from marts.mart_data_quality",
    )
    read, duplicates = (sum(s[n] for s in sent) for n in ("acknowledged", "duplicates"))
    assert shown == [(read, duplicates, *reasons.values())]
    return "marts agree"


def assert_every_reject_is_published(platform: Platform) -> str:
    """Each reject is in the dead-letter topic, once or, after a kill, more than once."""
    place = ["kafka_topic_id", "kafka_partition", "kafka_offset"]
    rejects = platform.lake.open("telemetry_rejects").read(columns=place)
    wanted = {f"{topic}/{partition}/{offset}" for topic, partition, offset in rejects.iter_rows()}
    found = Counter(
        (message.key() or b"").decode()
        for message in messages(platform, platform.settings.dlq_topic)
    )
    # a message whose vehicle was registered later was a reject when it was published
    assert wanted <= set(found)
    return f"{len(wanted):,} rejects in the dead-letter topic, {found.total() - len(found)} twice"


def assert_windows_as_in_one_pass(lake: Lake) -> str:
    """Feature windows are those that each hour gives anew."""
    assert hours_to_window(lake) == []
    order = ["vehicle_id", "window_end"]
    before = lake.open("feature_windows").read().sort(order)
    for hour in before["event_hour"].unique():
        refresh_feature_windows(lake, hour, force=True)
    assert_frame_equal(lake.open("feature_windows").read().sort(order), before)
    return f"{before.height} feature windows"


def assert_anomalies_as_in_one_pass(platform: Platform) -> str:
    """Trips and anomalies are those of all segments at once; warehouse and topic have the same."""
    lake, url = platform.lake, platform.postgres_url
    book = rule_book(url)
    models = model_book(lake, url)
    assert hours_to_score(lake, models) == []
    tables = ("segments", "trip_segments", "model_segments")
    before = {name: lake.open(name).read() for name in tables}
    for hour in before["model_segments"]["event_hour"].unique():
        refresh_model_segments(lake, hour, models, force=True)
    for hour in before["segments"]["event_hour"].unique():
        refresh_segments(lake, hour, book, force=True)
        refresh_trip_segments(lake, hour, force=True)
    for name, rows in before.items():
        order = list(lake.open(name).contract.key)
        assert_frame_equal(lake.open(name).read().sort(order), rows.sort(order))
    told = []
    for what in (by_rules(book), by_travel(), by_models()):
        pieces = lake.open(what.follows.pieces)
        hours = hours_of(pieces)
        nothing = pl.DataFrame(schema=dict.fromkeys([*what.group, "first", "last"], pl.String))
        rows = what.gather(pieces, hours[0], hours[-1], nothing).rows
        stored = lake.open(what.table).read().filter(what.mine).sort(what.key)
        made = what.make(rows, newest_event(lake, what.clock))
        assert_frame_equal(stored, made.sort(what.key))
        told.append(f"{stored.height} {what.table.replace('_', ' ')}")
    told.append(assert_windows_as_in_one_pass(lake))
    shown = lake.open("anomalies").read().sort("anomaly_id")
    sources = [lake.open(name).read() for name in ("rule_anomalies", "model_anomalies")]
    live = [rows.filter(pl.col("stage") == "live")["anomaly_id"] for rows in sources]
    assert shown["anomaly_id"].to_list() == sorted(pl.concat(live))
    columns = "anomaly_id, state, severity, revision"
    loaded = query(url, f"select {columns} from warehouse.anomalies order by anomaly_id")
    assert loaded == shown.select(columns.split(", ")).rows()
    trips = query(url, "select trip_id from warehouse.trips order by trip_id")
    assert [row[0] for row in trips] == sorted(lake.open("trips").read()["trip_id"])
    newest_of: dict[str, dict[str, Any]] = {}
    for message in messages(platform, platform.settings.anomalies_topic):
        value = json.loads(message.value() or b"")
        newest_of[value["anomaly_id"]] = value
    standing = {
        key: (value["state"], value["severity"], value["revision"])
        for key, value in newest_of.items()
        if not value.get("withdrawn")
    }
    assert standing == {row[0]: tuple(row[1:]) for row in loaded}
    return ", ".join(told) + " as in one pass; warehouse and topic agree"


def messages(platform: Platform, topic: str) -> Iterator[Message]:
    """Everything that a topic holds now."""
    watermarks = topic_state(platform.broker, topic).watermarks
    options = {"group.id": "count", "enable.auto.commit": False}
    consumer = Consumer(platform.broker.config(**options))
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in watermarks])
    left = sum(high - low for low, high in watermarks.values())
    while left:
        for message in consumer.consume(1000, timeout=10.0):
            assert message.error() is None, message.error()
            left -= 1
            yield message
    consumer.close()


def count_in_kafka(platform: Platform) -> tuple[Counter[int], Counter[tuple[int, str]]]:
    """Messages per partition, and those that tell vehicle and time per partition and hour."""
    per_partition: Counter[int] = Counter()
    per_hour: Counter[tuple[int, str]] = Counter()
    for message in messages(platform, platform.settings.topic):
        per_partition[message.partition()] += 1
        if hour := _hour_of(message.value() or b""):
            per_hour[message.partition(), hour] += 1
    return per_partition, per_hour


def _hour_of(value: bytes) -> str | None:
    try:
        said = json.loads(value)
        moment = datetime.fromisoformat(said["timestamp"])
        return hour_key(moment) if moment.tzinfo and said["vehicle_id"] else None
    except (ValueError, KeyError, TypeError):
        return None
