"""Builds of the marts, the figures that they showed, and which of history's they changed."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# as_of: what was loaded before is in the marts once the build is finished; hours null: all of them
BUILDS = """
create table warehouse.mart_builds (
    build_id bigint generated always as identity primary key,
    as_of timestamptz not null,
    hours text[],
    run_id text,
    finished_at timestamptz,
    is_whole boolean
)
"""

# what the marts show, to compare with; null: it shows it no more
FIGURES = """
create table warehouse.mart_figures (
    mart text not null,
    date_day date not null,
    fleet_id text not null,
    measure text not null,
    value double precision,
    primary key (mart, date_day, fleet_id, measure)
)
"""

REVISIONS = """
create table warehouse.mart_revisions (
    revision_id bigint generated always as identity primary key,
    build_id bigint not null,
    as_of timestamptz not null,
    revised_at timestamptz not null default clock_timestamp(),
    mart text not null,
    date_day date not null,
    fleet_id text not null,
    measure text not null,
    value_before double precision,
    value_after double precision,
    cause text not null,
    hours text[]
)
"""


def upgrade() -> None:
    op.execute(BUILDS)
    op.execute(FIGURES)
    op.execute(REVISIONS)
    op.execute("create index mart_revisions_day on warehouse.mart_revisions (date_day, mart)")


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
