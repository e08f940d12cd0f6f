"""The vehicle register and its history."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ATTRIBUTES = """
    vin text not null,
    make text not null,
    model text not null,
    year smallint not null,
    vehicle_type text not null check (vehicle_type in ('truck', 'sedan', 'van', 'suv')),
    fleet_id text not null default 'default',
    region text not null default 'unknown',
    status text not null default 'active' check (status in ('active', 'inactive', 'maintenance')),
    refrigerated boolean not null default false,
    has_pto boolean not null default false,
    tank_gallons double precision check (tank_gallons > 0),
    redline_rpm double precision check (redline_rpm > 0),
    nominal_voltage smallint not null default 12 check (nominal_voltage in (12, 24)),
    time_zone text not null default 'UTC'
"""

# The VIN's constraint is deferrable so that it is looked at after a statement, not row by row:
# one import may exchange the VINs of two vehicles.
VEHICLES = f"""
create table warehouse.vehicles (
    id text primary key,
    {ATTRIBUTES},
    first_imported_at timestamptz not null,
    updated_at timestamptz not null,
    constraint vehicles_vin_key unique (vin) deferrable initially immediate
)
"""

# Half-open versions [valid_from, valid_to). The first begins at -infinity, so that messages from
# before the registration resolve; the current one ends at infinity.
HISTORY = f"""
create table warehouse.vehicles_history (
    id text not null references warehouse.vehicles (id),
    {ATTRIBUTES},
    valid_from timestamptz not null,
    valid_to timestamptz not null default 'infinity',
    source text not null,
    imported_at timestamptz not null,
    change text not null check (change in ('registered', 'changed')),
    primary key (id, valid_from),
    check (valid_from < valid_to)
)
"""


def upgrade() -> None:
    op.execute(VEHICLES)
    op.execute(HISTORY)
    op.execute(
        "create unique index vehicles_history_current on warehouse.vehicles_history (id) "
        "where valid_to = 'infinity'"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
