"""How many of the counted messages replay an earlier reject."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("telemetry_outcomes", "vehicle_outcomes"):
        op.execute(f"alter table warehouse.{table} add column replayed bigint not null default 0")


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
