{{ config(
    materialized='incremental',
    incremental_strategy='append',
    indexes=[{"columns": ["date_utc"]}],
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
        replayed,
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
        sum(replayed)::bigint as replayed,
        max(newest_append_time) as newest_append_time
    from outcomes
    group by date_utc, vehicle_id
),

-- a replay that was rejected is no reject of its own: its origin is
rejected_again as (
    select
        vehicle_id,
        (hour_start at time zone 'UTC')::date as date_utc,
        count(*) as messages
    from {{ ref('stg_telemetry_replays') }}
    where
        reject_reason is not null
        and {{ in_hours_of_touched_days('hour_start') }}
    group by (hour_start at time zone 'UTC')::date, vehicle_id
),

-- once each, however often it was replayed
resolved_origins as (
    select distinct
        origin_vehicle_id,
        origin_topic_id,
        origin_partition,
        origin_offset,
        (origin_hour_start at time zone 'UTC')::date as date_utc
    from {{ ref('stg_telemetry_replays') }}
    where
        origin_rejected
        and reject_reason is null
        and {{ in_hours_of_touched_days('origin_hour_start') }}
),

resolved as (
    select
        date_utc,
        origin_vehicle_id as vehicle_id,
        count(*) as messages
    from resolved_origins
    group by date_utc, origin_vehicle_id
),

vehicle_days as (
    select
        vehicle_id,
        (hour_start at time zone 'UTC')::date as date_utc,
        sum(invalid_values)::bigint as invalid_values,
        sum(seconds_seen) as seconds_seen,
        extract(epoch from max(last_event_time) - min(first_event_time))::double precision
            as seconds_spanned
    from {{ ref('fct_vehicle_hours') }}
    where {{ in_hours_of_touched_days('hour_start') }}
    group by vehicle_id, (hour_start at time zone 'UTC')::date
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
    outcomes_by_day.replayed,
    coalesce(resolved.messages, 0)::bigint as resolved_by_replay,
    (
        outcomes_by_day.rejected
        - coalesce(rejected_again.messages, 0)
        - coalesce(resolved.messages, 0)
    )::bigint as open_rejects,
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
left join rejected_again
    on
        outcomes_by_day.date_utc = rejected_again.date_utc
        and outcomes_by_day.vehicle_id = rejected_again.vehicle_id
left join resolved
    on
        outcomes_by_day.date_utc = resolved.date_utc
        and outcomes_by_day.vehicle_id = resolved.vehicle_id
