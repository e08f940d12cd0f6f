"""Versions of the inputs that event hours are pinned to, and how the work on days went."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# vehicle_group '': the input is one for all vehicles. The lake's own commits carry what they were
# made by; this table shows it to people, and is brought in line with them.
PINS = """
create table warehouse.input_pins (
    event_hour text not null,
    input text not null,
    vehicle_group text not null default '',
    version text not null,
    pinned_at timestamptz not null default clock_timestamp(),
    primary key (event_hour, input, vehicle_group)
)
"""

DAYS = """
create table warehouse.day_ledger (
    stage text not null,
    event_day text not null,
    state text not null check (state in ('fresh', 'failed')),
    attempts bigint not null default 0,
    next_attempt_at timestamptz,
    detail text,
    rows bigint,
    run_id text,
    processed_at timestamptz,
    last_run_at timestamptz not null default clock_timestamp(),
    primary key (stage, event_day)
)
"""


def upgrade() -> None:
    op.execute(PINS)
    op.execute(DAYS)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
