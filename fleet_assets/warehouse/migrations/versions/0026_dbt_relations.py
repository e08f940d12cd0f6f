"""What dbt's views, and tables of what rarely changes, were made by."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

RELATIONS = """
create table warehouse.dbt_relations (
    relation text primary key,
    fingerprint text not null,
    made_as oid,
    made_at timestamptz not null default clock_timestamp()
)
"""


def upgrade() -> None:
    op.execute(RELATIONS)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
