"""The ledger knows the stage of features."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STAGES = (
    "'telemetry', 'vehicle_hours', 'warehouse', 'marts', 'rules', 'anomalies', 'rule_anomalies',"
    " 'rule_eligibility', 'trips', 'features'"
)


def upgrade() -> None:
    op.execute(
        "alter table warehouse.stage_ledger drop constraint stage_ledger_stage_check,"
        f" add constraint stage_ledger_stage_check check (stage in ({STAGES}))"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
