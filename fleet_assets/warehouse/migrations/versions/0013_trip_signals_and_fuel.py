"""What a trip tells besides its travel: signals that it names, fuel at both of its ends."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TRIPS = """
alter table warehouse.trips
    add column signals text,
    add column fuel_start_percent double precision,
    add column fuel_end_percent double precision,
    add column fuel_noise_percent double precision
"""


def upgrade() -> None:
    op.execute(TRIPS)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
