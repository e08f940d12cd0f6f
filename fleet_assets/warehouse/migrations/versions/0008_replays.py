"""Rejects that were replayed: what was sent by whom, and what became of it."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BATCHES = """
create table warehouse.reject_replay_batches (
    batch_id bigint generated always as identity primary key,
    requested_at timestamptz not null default clock_timestamp(),
    requested_by text not null,
    chosen jsonb not null,
    mapping jsonb not null,
    planned bigint not null,
    sent bigint,
    finished_at timestamptz
)
"""

# kafka_topic_id … kafka_offset: of the replay; null until Kafka has confirmed it.
REPLAYS = """
create table warehouse.reject_replays (
    origin_topic_id text not null,
    origin_partition integer not null,
    origin_offset bigint not null,
    attempt integer not null,
    batch_id bigint not null references warehouse.reject_replay_batches,
    origin_event_hour text not null,
    reason text not null,
    vehicle_id text,
    intended_at timestamptz not null default clock_timestamp(),
    kafka_topic_id text,
    kafka_partition integer,
    kafka_offset bigint,
    replayed_at timestamptz,
    primary key (origin_topic_id, origin_partition, origin_offset, attempt)
)
"""

# What became of each replay, by the hour of its event, and whether its origin is a reject still.
OUTCOMES = """
create table warehouse.telemetry_replays (
    event_hour text not null,
    hour_start timestamptz not null,
    vehicle_id text not null,
    kafka_topic_id text not null,
    kafka_partition integer not null,
    kafka_offset bigint not null,
    reject_reason text,
    origin_topic_id text not null,
    origin_partition integer not null,
    origin_offset bigint not null,
    origin_event_hour text,
    origin_hour_start timestamptz,
    origin_vehicle_id text,
    origin_rejected boolean not null,
    primary key (kafka_topic_id, kafka_partition, kafka_offset)
)
"""

QUALITY = """
alter table if exists marts.mart_data_quality
    add column replayed bigint not null default 0,
    add column resolved_by_replay bigint not null default 0,
    add column open_rejects bigint not null default 0
"""


def upgrade() -> None:
    op.execute(BATCHES)
    op.execute(REPLAYS)
    op.execute(
        "create index reject_replays_unconfirmed on warehouse.reject_replays (intended_at)"
        " where replayed_at is null"
    )
    op.execute(OUTCOMES)
    op.execute("create index telemetry_replays_hour on warehouse.telemetry_replays (hour_start)")
    op.execute(
        "create index telemetry_replays_origin on warehouse.telemetry_replays"
        " (origin_topic_id, origin_partition, origin_offset)"
    )
    op.execute(
        "create index telemetry_replays_origin_hour on warehouse.telemetry_replays"
        " (origin_hour_start)"
    )
    # dbt has made the mart; a warehouse that it has not yet filled has none
    op.execute(QUALITY)
    op.execute(
        "do $$ begin if to_regclass('marts.mart_data_quality') is not null then"
        " update marts.mart_data_quality set open_rejects = rejected; end if; end $$"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
