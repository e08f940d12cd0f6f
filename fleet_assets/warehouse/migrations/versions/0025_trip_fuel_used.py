"""Trips know whether they are private, and the fuel that they used."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TRIPS = """
alter table warehouse.trips
    add column is_private boolean,
    add column fuel_coverage double precision,
    add column refuelled_percent double precision,
    add column fuel_used_percent double precision
"""


def upgrade() -> None:
    op.execute(TRIPS)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
