"""Feedback by the anomaly that it is about now: its verdict is found without reading all of it."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # the key by which intermediate.int_anomaly_verdicts takes the newest
    op.execute(
        "create index anomaly_feedback_about on warehouse.anomaly_feedback"
        " ((coalesce(current_id, anomaly_id)), feedback_id desc)"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
