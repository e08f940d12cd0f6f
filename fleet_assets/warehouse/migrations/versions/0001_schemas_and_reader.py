"""Schemas, the role that BI tools log in through, and month partitions on demand."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A role belongs to the whole server: two databases may migrate at once, hence the exceptions.
READER = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'bi_reader') then
        create role bi_reader nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;
end $$
"""

# ATTACH takes a weaker lock than CREATE … PARTITION OF: readers and other writers go on. The
# advisory lock is there because two loads of a new month want the same partition.
MONTH_PARTITIONS = """
create function warehouse.ensure_month_partitions(
    parent regclass, first_hour timestamptz, last_hour timestamptz
) returns integer
language plpgsql
set timezone to 'UTC'
as $$
declare
    schema_name text;
    parent_name text;
    month timestamptz := date_trunc('month', first_hour);
    partition_name text;
    created integer := 0;
begin
    select n.nspname, c.relname into schema_name, parent_name
    from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
    where c.oid = parent;
    while month <= last_hour loop
        partition_name := parent_name || to_char(month, '"_"YYYY"_"MM');
        if to_regclass(format('%I.%I', schema_name, partition_name)) is null then
            perform pg_advisory_xact_lock(hashtext('month_partitions'), parent::oid::integer);
            if to_regclass(format('%I.%I', schema_name, partition_name)) is null then
                execute format(
                    'create table %I.%I (like %s including all)',
                    schema_name, partition_name, parent
                );
                execute format(
                    'alter table %s attach partition %I.%I for values from (%L) to (%L)',
                    parent, schema_name, partition_name, month, month + interval '1 month'
                );
                created := created + 1;
            end if;
        end if;
        month := month + interval '1 month';
    end loop;
    return created;
end $$
"""


def upgrade() -> None:
    for schema in ("staging", "intermediate", "marts"):
        op.execute(f"create schema if not exists {schema}")
    op.execute(READER)
    op.execute("grant usage on schema marts to bi_reader")
    op.execute("grant select on all tables in schema marts to bi_reader")
    op.execute("alter default privileges in schema marts grant select on tables to bi_reader")
    op.execute(MONTH_PARTITIONS)


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
