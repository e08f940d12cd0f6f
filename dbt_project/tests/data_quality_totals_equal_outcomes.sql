-- By day, all vehicles and '(none)' together hold as many messages as the landed offsets do.
-- A day into which an hour was loaded after this run began may be ahead of the mart; it is still
-- pending, so the run that rebuilds it tests it.
{{ config(meta={'dagster': {'ref': {'name': 'mart_data_quality'}}}) }}

with shown as (
    select
        date_utc,
        sum(read) as read,
        sum(accepted) as accepted,
        sum(duplicate) as duplicate,
        sum(rejected) as rejected,
        sum(pending) as pending,
        sum(late) as late,
        sum(replayed) as replayed
    from {{ ref('mart_data_quality') }}
    where {{ in_touched_days('date_utc') }}
    group by date_utc
),

landed as (
    select
        (hour_start at time zone 'UTC')::date as date_utc,
        sum(read) as read,
        sum(accepted) as accepted,
        sum(duplicate) as duplicate,
        sum(rejected) as rejected,
        sum(pending) as pending,
        sum(late) as late,
        sum(replayed) as replayed
    from {{ source('warehouse', 'telemetry_outcomes') }}
    where {{ in_hours_of_touched_days('hour_start') }}
    group by (hour_start at time zone 'UTC')::date
),

loaded_since as (
    select distinct (hour_start at time zone 'UTC')::date as date_utc
    from {{ source('warehouse', 'partition_ledger') }}
    where
        stage = 'warehouse'
        and processed_at >= timestamptz '{{ run_started_at }}'
        and {{ in_hours_of_touched_days('hour_start') }}
)

select
    coalesce(shown.date_utc, landed.date_utc) as date_utc,
    to_jsonb(shown) as shown,
    to_jsonb(landed) as landed
from shown
full outer join landed on shown.date_utc = landed.date_utc
left join loaded_since
    on coalesce(shown.date_utc, landed.date_utc) = loaded_since.date_utc
where
    loaded_since.date_utc is null
    and to_jsonb(shown) is distinct from to_jsonb(landed)
