{#-
    What a vehicle told of a code within a day: stretches that fct_fault_codes joins across days.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    meta={"follows": "vehicle_codes"},
    indexes=[{"columns": ["date_utc"]}, {"columns": ["vehicle_id", "code"]}],
    pre_hook="{{ forget(in_touched_days('date_utc', 'vehicle_codes')) }}"
) }}

with vehicle_codes_rows as (
    select
        *,
        (hour_start at time zone 'UTC')::date as date_utc
    from {{ ref('stg_vehicle_codes') }}
    where {{ in_hours_of_touched_days('hour_start', 'vehicle_codes') }}
),

-- hours of the day in which the vehicle told codes, be it that there are none, by number
told as (
    select
        vehicle_id,
        date_utc,
        hour_start,
        row_number() over (partition by vehicle_id, date_utc order by hour_start) as hour_number,
        count(*) over (partition by vehicle_id, date_utc) as hours
    from vehicle_codes_rows
    where code is null
),

-- hours with the code that follow one another have the same difference of numbers
shown as (
    select
        codes.*,
        told.hour_number,
        told.hours,
        told.hour_number - row_number() over (
            partition by codes.vehicle_id, codes.date_utc, codes.code order by codes.hour_start
        ) as stretch
    from vehicle_codes_rows as codes
    inner join told
        on codes.vehicle_id = told.vehicle_id and codes.hour_start = told.hour_start
    where codes.code is not null
)

select
    date_utc,
    vehicle_id,
    code,
    min(event_hour) as event_hour,
    min(hour_start) as hour_start,
    max(hour_start) as last_hour_start,
    min(first_seen) as first_seen_at,
    max(last_seen) as last_seen_at,
    count(*) as hours_told,
    -- an hour of the day before it, or after it, tells codes without this one
    min(hour_number) > 1 as begins_within_day,
    max(hour_number) < max(hours) as ends_within_day
from shown
group by date_utc, vehicle_id, code, stretch
