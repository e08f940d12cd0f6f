"""Versions of models, which of them serves and why, uses of evaluation sets, drift."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# version_id is a hash of the model's file, which lies under the lake's artifacts.
VERSIONS = """
create table warehouse.model_versions (
    version_id text primary key,
    recipe_id text not null,
    recipe jsonb not null,
    training_set text not null,
    data_version text not null,
    trained_at timestamptz not null,
    trained_by text not null,
    first_event_time timestamptz not null,
    last_event_time timestamptz not null,
    vehicle_groups text[] not null,
    counts jsonb not null,
    figures jsonb not null,
    noted_at timestamptz not null default clock_timestamp()
)
"""

# One of set_name (compared on an evaluation set) and trial_stage (on the days of a trial).
DECISIONS = """
create table warehouse.model_decisions (
    decision_id bigint generated always as identity primary key,
    decided_at timestamptz not null,
    decided_by text not null,
    challenger text not null references warehouse.model_versions,
    champion text not null references warehouse.model_versions,
    kind text not null check (kind in ('refresh', 'recipe')),
    set_name text,
    trial_stage text check (trial_stage in ('shadow', 'part')),
    vehicle_group text not null,
    verdict text not null check (verdict in ('stay', 'shadow', 'serve')),
    is_worse boolean not null,
    confidence double precision not null,
    vehicles bigint not null,
    vehicles_with_events bigint not null,
    vehicle_days bigint not null,
    events bigint not null,
    hours double precision not null,
    champion_recall double precision,
    challenger_recall double precision,
    champion_alarms double precision,
    challenger_alarms double precision,
    gain double precision,
    gain_low double precision,
    gain_high double precision,
    over double precision,
    over_low double precision,
    over_high double precision,
    more double precision,
    more_low double precision,
    more_high double precision,
    reasons text not null,
    constraint on_a_set_or_on_trial check ((set_name is null) <> (trial_stage is null))
)
"""

AUDIT = """
create table warehouse.model_audit (
    number bigint primary key,
    made_at timestamptz not null,
    valid_from timestamptz not null,
    made_by text not null,
    vehicle_group text not null,
    action text not null check (
        action in (
            'first', 'challenge', 'refuse', 'wait', 'to_part', 'to_all', 'drop', 'roll_back',
            'training_failed'
        )
    ),
    champion_before text references warehouse.model_versions,
    challenger_before text references warehouse.model_versions,
    stage_before text check (stage_before in ('alone', 'shadow', 'part')),
    share_before double precision,
    champion_after text references warehouse.model_versions,
    challenger_after text references warehouse.model_versions,
    stage_after text check (stage_after in ('alone', 'shadow', 'part')),
    share_after double precision,
    why text not null check (why <> ''),
    constraint few_actions_change_the_champion check (
        champion_before is not distinct from champion_after
        or (action = 'first' and champion_before is null)
        or action in ('to_all', 'roll_back')
    )
)
"""

USES = """
create table warehouse.model_evaluation_uses (
    set_name text not null,
    vehicle_group text not null,
    challenger text not null,
    kind text not null check (kind in ('refresh', 'recipe')),
    used_at timestamptz not null default clock_timestamp(),
    used_by text not null,
    primary key (set_name, vehicle_group, challenger, kind)
)
"""

DRIFT = """
create table warehouse.model_drift (
    day date not null,
    version_id text not null,
    feature text not null,
    vehicle_type text not null,
    vehicles text not null check (vehicles in ('known', 'new')),
    count bigint not null,
    reference_count bigint not null,
    reference_center double precision,
    current_center double precision,
    season_shift double precision,
    season_by text,
    effect double precision,
    effect_with_season double precision,
    p double precision,
    q double precision,
    alarm boolean not null,
    why text,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (day, version_id, feature, vehicle_type, vehicles)
)
"""

# A model comes to serve by verdicts: the database itself wants to see them.
GUARD = """
create function warehouse.model_change_needs_a_verdict() returns trigger language plpgsql as $$
begin
    if new.action = 'challenge' and not exists (
        select from warehouse.model_decisions
        where challenger = new.challenger_after and champion = new.champion_before
        and vehicle_group = new.vehicle_group and set_name is not null and verdict <> 'stay'
    ) then
        raise exception 'no decision on an evaluation set lets % challenge % in %: evaluate it',
            new.challenger_after, new.champion_before, new.vehicle_group;
    end if;
    if new.action in ('to_part', 'to_all') and not exists (
        select from warehouse.model_decisions
        where challenger = new.challenger_before and champion = new.champion_before
        and vehicle_group = new.vehicle_group and trial_stage = new.stage_before
        and verdict = 'serve'
    ) then
        raise exception 'no decision on the trial (%) lets % serve in %: look at the trial',
            new.stage_before, new.challenger_before, new.vehicle_group;
    end if;
    return new;
end
$$;
create trigger needs_a_verdict before insert on warehouse.model_audit
for each row execute function warehouse.model_change_needs_a_verdict()
"""

REFUSAL = """
create function warehouse.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are only ever added: % is refused', tg_table_name, tg_op;
end
$$
"""
ONLY_ADDED = ("model_audit", "model_decisions", "model_evaluation_uses")


def upgrade() -> None:
    for table in (VERSIONS, DECISIONS, AUDIT, USES, DRIFT):
        op.execute(table)
    op.execute(GUARD)
    op.execute(REFUSAL)
    for table in ONLY_ADDED:
        op.execute(
            f"create trigger only_added before update or delete or truncate on warehouse.{table}"
            " for each statement execute function warehouse.refuse_change()"
        )
    op.execute(
        "create index model_decisions_pair on warehouse.model_decisions"
        " (vehicle_group, challenger, champion)"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")
