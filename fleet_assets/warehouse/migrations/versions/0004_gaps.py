"""Gaps in what was read from Kafka: what operators took note of, and logs that lost their end."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# An audit trail: rows are added, never changed.
ACKNOWLEDGED = """
create table warehouse.acknowledged_gaps (
    kafka_topic_id text not null,
    kafka_partition integer not null check (kafka_partition >= 0),
    offset_start bigint not null check (offset_start >= 0),
    offset_end bigint not null,
    lost bigint not null,
    kind text not null,
    acknowledged_by text not null,
    acknowledged_at timestamptz not null default clock_timestamp(),
    reason text not null check (reason <> ''),
    primary key (kafka_topic_id, kafka_partition, offset_start, offset_end),
    check (offset_start < offset_end)
)
"""

# offset_start: the lowest end of the log that was seen; offset_end: what had landed before.
TRUNCATED = """
create table warehouse.truncated_logs (
    cluster_id text not null,
    kafka_topic_id text not null,
    kafka_partition integer not null check (kafka_partition >= 0),
    offset_start bigint not null check (offset_start >= 0),
    offset_end bigint not null,
    seen_at timestamptz not null default clock_timestamp(),
    primary key (kafka_topic_id, kafka_partition, offset_end),
    check (offset_start < offset_end)
)
"""


def upgrade() -> None:
    op.execute(ACKNOWLEDGED)
    op.execute(TRUNCATED)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
