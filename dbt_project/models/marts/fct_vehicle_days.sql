{#-
    The migration creates this table, as dbt cannot create one that is partitioned by month; hence
    full_refresh=false: dbt never replaces it.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ forget(in_touched_local_days('date_local')) }}"
) }}

with vehicle_hours as (
    select
        *,
        -- weight of the hour's mean speed: the time over which speed is known, as nearly as the
        -- hour tells it
        seconds_seen * (1 - coalesce(missing_speed, 0)) as speed_seconds
    from {{ ref('fct_vehicle_hours') }}
    where
        {{ in_touched_local_days('date_local') }}
        and {{ in_hours_of_touched_local_days('hour_start') }}
)

select
    date_local,
    vehicle_id,
    -- of the last hour: arrays compare by their first elements
    (max(array[event_hour, fleet_id]))[2] as fleet_id,
    (max(array[event_hour, vehicle_type]))[2] as vehicle_type,
    count(*) as hours_seen,
    sum(messages)::bigint as messages,
    sum(conflicts)::bigint as conflicts,
    sum(invalid_values)::bigint as invalid_values,
    min(first_event_time) as first_event_time,
    max(last_event_time) as last_event_time,
    sum(seconds_seen) as seconds_seen,
    sum(distance_miles) as distance_miles,
    sum(engine_seconds) as engine_seconds,
    sum(idle_seconds) as idle_seconds,
    sum(moving_seconds) as moving_seconds,
    sum(idle_seconds) / nullif(sum(engine_seconds) filter (where idle_seconds is not null), 0)
        as idle_share,
    sum(fuel_used_percent) as fuel_used_percent,
    sum(fuel_used_gallons) as fuel_used_gallons,
    sum(speed_avg_mph * speed_seconds)
    / nullif(sum(speed_seconds) filter (where speed_avg_mph is not null), 0) as speed_avg_mph,
    max(speed_max_mph) as speed_max_mph,
    sum(rpm_avg * engine_seconds)
    / nullif(sum(engine_seconds) filter (where rpm_avg is not null), 0) as rpm_avg,
    max(rpm_max) as rpm_max,
    max(coolant_max_c) as coolant_max_c,
    -- the reading of the first and of the last hour,
    -- without sorting all hours of the day as array_agg(… order by …) does
    (
        min(array[date_part('epoch', hour_start), odometer_first_mi])
        filter (where odometer_first_mi is not null)
    )[2] as odometer_first_mi,
    (
        max(array[date_part('epoch', hour_start), odometer_last_mi])
        filter (where odometer_last_mi is not null)
    )[2] as odometer_last_mi
from vehicle_hours
group by date_local, vehicle_id
