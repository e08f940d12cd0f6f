"""Stages of rules that differ from the catalogue's, and the backtests that promotions rest on."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# backtest_id is a hash of the contents: the same proposal over the same data is one row.
BACKTESTS = """
create table warehouse.backtests (
    backtest_id text primary key,
    made_at timestamptz not null default clock_timestamp(),
    made_by text not null,
    first_hour text not null,
    last_hour text not null,
    rows bigint not null,
    vehicle_days double precision not null,
    catalogue_release bigint not null,
    proposal jsonb not null,
    changes bigint not null,
    report jsonb not null
)
"""

# Numbered together with rule_changes, so that a number names one change of either kind.
# new_stage null: no stage of its own from this time on any more.
CHANGES = """
create table warehouse.rule_stage_changes (
    change_id bigint primary key default nextval('warehouse.rule_changes_change_id_seq'),
    made_at timestamptz not null default clock_timestamp(),
    made_by text not null,
    why text not null,
    rule_id text not null,
    valid_from timestamptz not null,
    old_stage text check (old_stage in ('off', 'shadow', 'live')),
    new_stage text check (new_stage in ('off', 'shadow', 'live')),
    backtest_id text references warehouse.backtests,
    rolls_back bigint references warehouse.rule_stage_changes,
    constraint live_needs_a_backtest check (new_stage <> 'live' or backtest_id is not null)
)
"""

IN_FORCE = """
create view warehouse.rule_stages as
select rule_id, valid_from, new_stage as stage, change_id, backtest_id
from (
    select distinct on (rule_id, valid_from) *
    from warehouse.rule_stage_changes
    order by rule_id, valid_from, change_id desc
) as newest
where new_stage is not null
"""


def upgrade() -> None:
    op.execute(BACKTESTS)
    op.execute(CHANGES)
    op.execute(
        "create index rule_stage_changes_key on warehouse.rule_stage_changes (rule_id, valid_from)"
    )
    op.execute(IN_FORCE)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
