"""Trouble codes that vehicles told, by hour, and their place in the ledger."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STAGES = (
    "'telemetry', 'vehicle_hours', 'warehouse', 'marts', 'rules', 'anomalies', 'rule_anomalies',"
    " 'rule_eligibility', 'trips', 'features', 'scoring', 'model_hours', 'model_anomalies',"
    " 'vehicle_codes'"
)

# code null: when any or none was told
CODES = """
create table warehouse.vehicle_codes (
    event_hour text not null,
    hour_start timestamptz not null,
    vehicle_id text not null,
    code text,
    first_seen timestamptz not null,
    last_seen timestamptz not null
) partition by range (hour_start);
create unique index vehicle_codes_key
on warehouse.vehicle_codes (vehicle_id, hour_start, coalesce(code, ''));
create index vehicle_codes_hour_start on warehouse.vehicle_codes using brin (hour_start)
"""


def upgrade() -> None:
    op.execute(
        "alter table warehouse.stage_ledger drop constraint stage_ledger_stage_check,"
        f" add constraint stage_ledger_stage_check check (stage in ({STAGES}))"
    )
    op.execute(CODES)
    op.execute(
        "update warehouse.ledger_tables set is_loaded = true where table_name = 'vehicle_codes'"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
