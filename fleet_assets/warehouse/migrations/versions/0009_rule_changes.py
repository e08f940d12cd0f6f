"""Numbers of rules that differ for a fleet, a model or a vehicle: changes, and what is in force."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# new_value null: no override from this time on any more.
CHANGES = """
create table warehouse.rule_changes (
    change_id bigint generated always as identity primary key,
    made_at timestamptz not null default clock_timestamp(),
    made_by text not null,
    why text not null,
    rule_id text not null,
    parameter text not null,
    scope text not null check (scope in ('fleet', 'model', 'vehicle')),
    scope_value text not null,
    valid_from timestamptz not null,
    old_value double precision,
    new_value double precision check (new_value <> 'NaN'),
    rolls_back bigint references warehouse.rule_changes
)
"""

IN_FORCE = """
create view warehouse.rule_overrides as
select rule_id, parameter, scope, scope_value, valid_from, new_value as value, change_id
from (
    select distinct on (rule_id, parameter, scope, scope_value, valid_from) *
    from warehouse.rule_changes
    order by rule_id, parameter, scope, scope_value, valid_from, change_id desc
) as newest
where new_value is not null
"""


def upgrade() -> None:
    op.execute(CHANGES)
    op.execute(
        "create index rule_changes_key on warehouse.rule_changes"
        " (rule_id, parameter, scope, scope_value, valid_from)"
    )
    op.execute(IN_FORCE)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
