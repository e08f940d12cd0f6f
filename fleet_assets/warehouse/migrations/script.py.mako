"""${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""${upgrades if upgrades else "select 1"}""")


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
