"""Backfills: who asked for what, how far each hour has come, what the runs took."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

BACKFILLS = """
create table warehouse.backfills (
    backfill_id text primary key,
    names text[] not null,
    first_key text not null,
    last_key text not null,
    repin boolean not null,
    asked_by text not null,
    asked_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
)
"""

# one row per step and hour (or day); run_id: of the newest run that has worked on it
PIECES = """
create table warehouse.backfill_pieces (
    backfill_id text not null references warehouse.backfills,
    step text not null,
    partition_key text not null,
    messages bigint not null,
    state text not null default 'waiting'
        check (state in ('waiting', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    next_attempt_at timestamptz,
    detail text,
    run_id text,
    primary key (backfill_id, step, partition_key)
)
"""

RUNS = """
create table warehouse.backfill_runs (
    run_id text primary key,
    backfill_id text not null references warehouse.backfills,
    step text not null,
    partitions integer not null,
    messages bigint not null,
    started_at timestamptz,
    ended_at timestamptz,
    succeeded boolean
)
"""


def upgrade() -> None:
    for statement in (BACKFILLS, PIECES, RUNS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
