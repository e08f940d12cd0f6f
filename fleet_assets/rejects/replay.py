"""Sending rejects again: plan what would happen, then do it so that a crash doubles nothing.

An intent is noted, the message is sent with a header that names its origin, and the intent is
confirmed with the new coordinates. What is cut off in between is settled by the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.produce import Delivery, Outgoing, send
from fleet_assets.kafka.topic import Broker
from fleet_assets.lake.store import Lake
from fleet_assets.rejects.find import OPEN
from fleet_assets.rejects.fix import Fix
from fleet_assets.rejects.judge import judge
from fleet_assets.telemetry.coordinates import COORDINATES, REPLAY_OF_HEADER, Coordinates
from fleet_assets.telemetry.time_policy import TimePolicy
from fleet_assets.warehouse.reject_replays import Intent, confirm, intend, withdraw

SEND: Final = "sent"
ALREADY: Final = "replayed already"
AGAIN_REJECTED: Final = "would be rejected again"
NO_NEED: Final = "needs no replay"
_PART: Final = 500
"""Messages between an intent and its confirmation."""
_SAMPLES: Final = 5


@dataclass(frozen=True)
class Plan:
    """What a replay would do.

    Attributes:
        rows: a row per chosen reject: COORDINATES, `origin`, `event_hour`, `reason`,
            `vehicle_id`, `action`, `new_vehicle_id`, `new_reason`, `new_detail`.
        samples: some of those that would be sent, with their bytes: `value`, `new_key`,
            `new_value`.
    """

    rows: pl.DataFrame
    samples: pl.DataFrame

    def count(self, action: str) -> int:
        """How many rejects this is planned for."""
        return self.rows.filter(pl.col("action") == action).height

    def limited(self, most: int) -> Plan:
        """The same for at most so many messages to send."""
        chosen = self.chosen.head(most)
        others = self.rows.filter(pl.col("action") != SEND)
        return Plan(pl.concat([others, chosen]), self.samples.head(most))

    @property
    def chosen(self) -> pl.DataFrame:
        """The rejects that would be sent."""
        return self.rows.filter(pl.col("action") == SEND)


def plan_replay(
    lake: Lake,
    found: pl.DataFrame,
    fix: Fix,
    policy: TimePolicy,
    known_vehicles: frozenset[str],
    now: datetime,
    *,
    again: bool = False,
) -> Plan:
    """Decides for each reject whether it is sent; nothing is changed.

    Args:
        lake: holds the bytes.
        found: rejects as `find_rejects` gives them. Of several with the same origin the first
            counts.
        fix: what is changed in each message.
        policy: which event times are accepted.
        known_vehicles: ids of all registered vehicles.
        now: the moment of arrival.
        again: also those that were replayed already.
    """
    fresh = (pl.col("state") == OPEN) | pl.lit(again)
    wanted = found.unique("origin", keep="first", maintain_order=True).with_columns(fresh=fresh)
    skipped = wanted.filter(~pl.col("fresh")).with_columns(action=pl.lit(ALREADY))
    parts, samples = [], []
    for judged in _mended(lake, wanted.filter("fresh"), fix):
        judged = judge(judged, policy, known_vehicles, now).with_columns(action=_action(fix))
        samples.append(judged.filter(pl.col("action") == SEND).head(_SAMPLES))
        parts.append(judged.drop("key", "value", "new_value", "new_key"))
    columns = [*COORDINATES, "origin", "event_hour", "reason", "vehicle_id", "action"]
    added = ["new_vehicle_id", "new_reason", "new_detail"]
    none = [pl.lit(None, dtype=pl.String).alias(name) for name in added]
    left_out = skipped.select(*columns, *none)
    rows = pl.concat([left_out, *(part.select(*columns, *added) for part in parts)])
    shown = pl.concat(samples).head(_SAMPLES) if samples else pl.DataFrame()
    return Plan(rows, shown)


def _action(fix: Fix) -> pl.Expr:
    no_need = (pl.col("reason") == "conflicting_duplicate") & pl.lit(not fix)
    came_back = (pl.col("reason") == "unknown_vehicle") & pl.lit(not fix)
    return (
        pl.when(no_need | came_back)
        .then(pl.lit(NO_NEED))
        .when(pl.col("new_reason").is_not_null())
        .then(pl.lit(AGAIN_REJECTED))
        .otherwise(pl.lit(SEND))
    )


def _mended(lake: Lake, wanted: pl.DataFrame, fix: Fix) -> Iterator[pl.DataFrame]:
    """The rejects with their bytes and the mended ones, hour by hour."""
    table = lake.find("telemetry_rejects")
    if table is None:
        return
    for (hour,), rows in wanted.group_by("event_hour", maintain_order=True):
        offsets = pl.col("kafka_offset").is_in(rows["kafka_offset"].to_list())
        stored = table.read(str(hour), columns=[*COORDINATES, "key", "value"], where=offsets)
        whole = rows.join(stored, on=COORDINATES, how="inner", maintain_order="left")
        # JSON is mended message by message: rejects are few
        new = pl.Series("new_value", [fix.apply(v) for v in whole["value"]], dtype=pl.Binary)
        yield whole.with_columns(new)


@dataclass(frozen=True)
class Replayed:
    """What was sent.

    Attributes:
        sent: messages that Kafka has confirmed.
        failed: messages that it refused or did not confirm.
        error: why, of the first of them.
    """

    sent: int
    failed: int = 0
    error: str | None = None


def replay(
    lake: Lake,
    broker: Broker,
    postgres_url: str,
    topic: str,
    topic_id: str,
    plan: Plan,
    fix: Fix,
    batch_id: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Replayed:
    """Sends what the plan has chosen.

    Args:
        lake: holds the bytes.
        broker: Kafka.
        postgres_url: keeps the audit trail.
        topic: the telemetry topic, with the id `topic_id`.
        plan: what to send.
        fix: as it was planned with.
        batch_id: of the audit trail.
        advance: told of the messages as they are acknowledged.
    """
    sent = failed = 0
    first_error: str | None = None
    for mended in _mended(lake, plan.chosen, fix):
        keyed = _keyed(mended, plan.chosen)
        for part in keyed.iter_slices(_PART):
            deliveries = _send_part(broker, postgres_url, topic, topic_id, part, batch_id, advance)
            sent += sum(d.error is None for d in deliveries)
            errors = [d.error for d in deliveries if d.error is not None]
            failed += len(errors)
            first_error = first_error or next(iter(errors), None)
            if errors and len(errors) == len(deliveries):
                return Replayed(sent, failed, first_error)  # nothing gets through any more
    return Replayed(sent, failed, first_error)


def _keyed(mended: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """With the key of the vehicle that each message names now."""
    return mended.join(
        chosen.select(*COORDINATES, "new_vehicle_id"), on=COORDINATES, maintain_order="left"
    ).with_columns(new_key=pl.col("new_vehicle_id").cast(pl.Binary))


def _send_part(
    broker: Broker,
    postgres_url: str,
    topic: str,
    topic_id: str,
    part: pl.DataFrame,
    batch_id: int,
    advance: Callable[[int], None],
) -> list[Delivery]:
    rows = part.select("origin", "event_hour", "reason", "vehicle_id").rows()
    plain = [Intent(_parsed(origin), *rest) for origin, *rest in rows]
    attempts = intend(postgres_url, batch_id, plain)
    intents = [
        Intent(i.origin, i.event_hour, i.reason, i.vehicle_id, attempt)
        for i, attempt in zip(plain, attempts, strict=True)
    ]
    fault_point("rejects.intent")
    messages = [
        Outgoing(key, value, [(REPLAY_OF_HEADER, str(intent.origin).encode())])
        for intent, (key, value) in zip(
            intents, part.select("new_key", "new_value").iter_rows(), strict=True
        )
    ]
    deliveries = send(broker, topic, messages, advance)
    fault_point("rejects.produced")
    pairs = list(zip(intents, deliveries, strict=True))
    confirm(
        postgres_url,
        [(i, Coordinates(topic_id, d.partition, d.offset)) for i, d in pairs if d.error is None],
    )
    withdraw(postgres_url, [i for i, d in pairs if d.error is not None and d.certain])
    return deliveries


def _parsed(text: str) -> Coordinates:
    found = Coordinates.parse(text)
    if found is None:
        raise ValueError(f"{text} are no coordinates")
    return found
