{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget(in_touched_days('date_utc')) }}"
) }}

with outcomes as (
    select
        vehicle_id,
        read,
        accepted,
        duplicate,
        rejected,
        pending,
        rejected_by_reason,
        late,
        newest_append_time,
        (hour_start at time zone 'UTC')::date as date_utc
    from {{ ref('stg_vehicle_outcomes') }}
    where {{ in_hours_of_touched_days('hour_start') }}
),

outcomes_by_day as (
    select
        date_utc,
        vehicle_id,
        sum(read)::bigint as read,
        sum(accepted)::bigint as accepted,
        sum(duplicate)::bigint as duplicate,
        sum(rejected)::bigint as rejected,
        sum(pending)::bigint as pending,
        {%- for reason in var('reject_reasons') %}
            coalesce(sum((rejected_by_reason ->> '{{ reason }}')::bigint), 0)::bigint
                as rejected_{{ reason }},
        {%- endfor %}
        sum(late)::bigint as late,
        max(newest_append_time) as newest_append_time
    from outcomes
    group by date_utc, vehicle_id
),

vehicle_days as (
    select
        date_utc,
        vehicle_id,
        invalid_values,
        seconds_seen,
        extract(epoch from last_event_time - first_event_time)::double precision as seconds_spanned
    from {{ ref('fct_vehicle_days') }}
    where {{ in_touched_days('date_utc') }}
)

select
    outcomes_by_day.date_utc,
    outcomes_by_day.vehicle_id,
    outcomes_by_day.read,
    outcomes_by_day.accepted,
    outcomes_by_day.duplicate,
    outcomes_by_day.rejected,
    outcomes_by_day.pending,
    {%- for reason in var('reject_reasons') %}
        outcomes_by_day.rejected_{{ reason }},
    {%- endfor %}
    outcomes_by_day.late,
    outcomes_by_day.late::double precision / nullif(outcomes_by_day.read, 0) as late_share,
    vehicle_days.invalid_values,
    -- least() passes over nulls: without the guard, a day that was not seen would be complete
    case
        when vehicle_days.seconds_seen is not null and vehicle_days.seconds_spanned > 0
            then least(vehicle_days.seconds_seen / vehicle_days.seconds_spanned, 1)
    end as completeness,
    outcomes_by_day.newest_append_time
from outcomes_by_day
left join vehicle_days
    on
        outcomes_by_day.date_utc = vehicle_days.date_utc
        and outcomes_by_day.vehicle_id = vehicle_days.vehicle_id
