"""Hours know fleet and local day, days are local, vehicles have versions in the marts."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

FILL = """
update marts.fct_vehicle_hours as hours
set
    fleet_id = versions.fleet_id,
    vehicle_type = versions.vehicle_type,
    date_local = ((hours.hour_start + interval '30 minutes') at time zone versions.time_zone)::date
from warehouse.vehicles_history as versions
where
    versions.id = hours.vehicle_id
    and hours.hour_start >= versions.valid_from
    and hours.hour_start < versions.valid_to
"""
# dbt fills the days anew, as they are gone; one hour that is not shown makes it run
ANEW = """
update warehouse.stage_ledger set processed_version = null
where
    stage = 'marts'
    and event_hour = (select max(event_hour) from warehouse.stage_ledger where stage = 'marts')
"""


def upgrade() -> None:
    op.execute(
        "alter table marts.fct_vehicle_hours"
        " add column fleet_id text, add column vehicle_type text, add column date_local date"
    )
    op.execute(FILL)
    op.execute(
        "update marts.fct_vehicle_hours set date_local = (hour_start at time zone 'UTC')::date"
        " where date_local is null"
    )
    op.execute("alter table marts.fct_vehicle_hours alter column date_local set not null")
    # with what is built on them; dbt makes all of it again
    op.execute("drop table if exists marts.fct_vehicle_days cascade")
    op.execute("drop view if exists staging.stg_vehicles cascade")
    op.execute(ANEW)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
