"""Logins of BI tools, and whose rows each of them sees."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# A role belongs to the whole server: two databases may migrate at once, hence the exceptions.
FLEET_READER = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'bi_fleet_reader') then
        create role bi_fleet_reader nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;
end $$
"""

# fleet_ids null: the login sees all fleets
LOGINS = """
create table warehouse.bi_logins (
    login text primary key,
    fleet_ids text[] check (cardinality(fleet_ids) > 0),
    granted_by text not null,
    granted_at timestamptz not null default clock_timestamp()
)
"""

# Within a view, current_user is who asks; what it reads goes by the rights of its owner.
VISIBLE_FLEETS = """
create view marts.visible_fleets with (security_barrier = true) as
select unnest(fleet_ids) as fleet_id from warehouse.bi_logins where login = current_user
"""

# The owner of the marts, superusers, and bi_reader with its members. Who is neither sees the
# fleets that he was granted: without a grant, none.
SEES_ALL_FLEETS = """
create function marts.sees_all_fleets() returns boolean
language sql stable parallel safe
set search_path = pg_catalog
as $$
    select
        pg_has_role(current_user, 'bi_reader', 'member')
        or pg_has_role(current_user, nspowner, 'member')
    from pg_namespace where nspname = 'marts'
$$
"""


def upgrade() -> None:
    op.execute(FLEET_READER)
    op.execute(LOGINS)
    op.execute(VISIBLE_FLEETS)
    op.execute("comment on view marts.visible_fleets is 'Fleets that the login was granted.'")
    op.execute("comment on column marts.visible_fleets.fleet_id is 'The fleet.'")
    op.execute(SEES_ALL_FLEETS)
    op.execute("grant usage on schema marts to bi_fleet_reader")
    op.execute("grant select on marts.visible_fleets to bi_fleet_reader")
    # as dbt does to the tables that it makes: macros/visible_fleets.sql
    op.execute("alter table marts.fct_vehicle_hours enable row level security")
    op.execute(
        "create policy visible_fleets on marts.fct_vehicle_hours for select using ("
        "(select marts.sees_all_fleets())"
        " or fleet_id in (select fleet_id from marts.visible_fleets))"
    )
    op.execute("grant select on marts.fct_vehicle_hours to bi_fleet_reader")


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
