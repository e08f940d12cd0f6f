"""Settling replays that were cut off: was the message sent, or not?

Raw telemetry says so for what has landed, Kafka itself for what has not. Only then may anything
be sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from fleet_assets.kafka.read import read_ranges
from fleet_assets.kafka.topic import Broker, topic_state
from fleet_assets.lake.landing import next_offsets
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.telemetry.coordinates import COORDINATES, Coordinates
from fleet_assets.warehouse.reject_replays import (
    confirm,
    confirmed_coordinates,
    unconfirmed,
    withdraw,
)
from fleet_assets.warehouse.telemetry_replays import replays_loaded


@dataclass(frozen=True)
class Settled:
    """How many replays were found to be sent, and not to be."""

    sent: int
    not_sent: int


def settle(lake: Lake, broker: Broker, postgres_url: str, topic: str) -> Settled:
    """Finds out what became of every replay that has no confirmation.

    To be called by the one replayer only: what another is just sending would be taken for lost.

    Raises:
        FleetError: Kafka does not answer.
    """
    intents = unconfirmed(postgres_url)
    if not intents:
        return Settled(0, 0)
    origins = sorted({intent.origin for intent in intents})
    taken = confirmed_coordinates(postgres_url, origins)
    free: dict[Coordinates, list[Coordinates]] = defaultdict(list)
    for origin, place in _found(lake, broker, postgres_url, topic, origins):
        if place not in taken and place not in free[origin]:
            free[origin].append(place)
    sent = [(i, free[i.origin].pop(0)) for i in intents if free[i.origin]]
    known = {(intent.origin, intent.attempt) for intent, _ in sent}
    lost = [i for i in intents if (i.origin, i.attempt) not in known]
    confirm(postgres_url, sent)
    withdraw(postgres_url, lost)
    return Settled(len(sent), len(lost))


def _found(
    lake: Lake, broker: Broker, postgres_url: str, topic: str, origins: Sequence[Coordinates]
) -> Iterator[tuple[Coordinates, Coordinates]]:
    """Origin and place of every message that replays one of these."""
    yield from replays_loaded(postgres_url, origins)
    state = topic_state(broker, topic)  # before raw is opened: what lands meanwhile is seen twice
    raw = lake.open("raw_telemetry")
    is_theirs = pl.col("replay_of").is_in([str(origin) for origin in origins])
    landed = raw.read(
        columns=[*COORDINATES, "replay_of"], where=is_theirs, files_where=_may_hold_replays(raw)
    )
    yield from _pairs(landed)
    reached = next_offsets(raw, state.source, state.watermarks)
    not_landed = {
        partition: (max(low, reached.get(partition, low)), high)
        for partition, (low, high) in state.watermarks.items()
    }
    for chunk in read_ranges(broker, topic, state.source.topic_id, not_landed):
        yield from _pairs(chunk.messages.filter(is_theirs))


def _pairs(messages: pl.DataFrame) -> Iterator[tuple[Coordinates, Coordinates]]:
    for *place, text in messages.select(*COORDINATES, "replay_of").iter_rows():
        origin = Coordinates.parse(text)
        if origin is not None:
            yield origin, Coordinates(*place)


def _may_hold_replays(raw: TableSnapshot) -> pl.Expr | None:
    """Files of raw telemetry that may hold replays, as far as statistics tell."""
    if "null_count.replay_of" not in raw.files.columns:
        return None
    return (pl.col("null_count.replay_of") < pl.col("num_records")).fill_null(True)
