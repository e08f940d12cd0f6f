{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

{#- The two levels meet where the full rows begin, which is the beginning of a minute. -#}
with extent as (
    select * from {{ source('warehouse', 'telemetry_recent_extent') }}
),

every_row as (
    select * from {{ source('warehouse', 'telemetry_full') }}
),

first_of_minutes as (
    select * from {{ source('warehouse', 'telemetry_minutes') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
),

rows_then as (
    select
        *,
        'full' as resolution
    from every_row
    where event_time >= (select extent.full_from from extent)
    union all
    select
        *,
        'minute' as resolution
    from first_of_minutes
    where
        event_time >= (select extent.minutes_from from extent)
        and event_time < (select extent.full_from from extent)
)

select
    rows_then.vehicle_id,
    versions.fleet_id,
    rows_then.event_time,
    rows_then.engine_rpm,
    rows_then.speed,
    rows_then.throttle_position,
    rows_then.coolant_temp,
    rows_then.fuel_level,
    rows_then.gps_lat,
    rows_then.gps_lon,
    rows_then.accel_x,
    rows_then.accel_y,
    rows_then.accel_z,
    rows_then.odometer,
    rows_then.engine_load,
    rows_then.battery_voltage,
    rows_then.oil_pressure,
    rows_then.intake_air_temp,
    rows_then.ambient_temp,
    rows_then.heading,
    rows_then.driver_id,
    rows_then.private,
    rows_then.ignition,
    rows_then.pto_active,
    rows_then.dtc,
    rows_then.null_signals,
    rows_then.invalid_values,
    rows_then.extra,
    rows_then.conflict,
    rows_then.resolution
from rows_then
inner join versions
    on
        rows_then.vehicle_id = versions.vehicle_id
        and rows_then.event_time >= versions.valid_from
        and rows_then.event_time < versions.valid_to
where {{ visible('versions.fleet_id') }}
