"""Legal holds, and what retention, restores and erasures have done."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# A hold is never deleted: it is lifted.
HOLDS = """
create table warehouse.legal_holds (
    hold_id bigint generated always as identity primary key,
    vehicle_id text not null,
    reason text not null check (reason <> ''),
    placed_by text not null,
    placed_at timestamptz not null default clock_timestamp(),
    lifted_by text,
    lifted_at timestamptz,
    lifted_because text,
    check ((lifted_at is null) = (lifted_by is null))
)
"""

# Append-only. Of an erasure it holds what kind of subject it was and a reference, not who.
ACTIONS = """
create table warehouse.retention_actions (
    action_id bigint generated always as identity primary key,
    acted_at timestamptz not null default clock_timestamp(),
    acted_by text not null,
    action text not null check (action in ('retire', 'restore', 'erase')),
    place text not null,
    table_name text not null,
    first_hour text,
    last_hour text,
    rows bigint not null,
    bytes bigint,
    reference text
)
"""


def upgrade() -> None:
    op.execute(HOLDS)
    op.execute(
        "create unique index legal_holds_in_force on warehouse.legal_holds (vehicle_id)"
        " where lifted_at is null"
    )
    op.execute(ACTIONS)
    op.execute("create index retention_actions_at on warehouse.retention_actions (acted_at)")


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
