"""Which hours' rejects have been looked through for the dead-letter topic."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Only a shortcut: what was published stands in the lake (dlq_published).
HOURS = """
create table warehouse.dlq_hours (
    event_hour text primary key,
    fingerprint text not null,
    examined_at timestamptz not null default clock_timestamp()
)
"""


def upgrade() -> None:
    op.execute(HOURS)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
