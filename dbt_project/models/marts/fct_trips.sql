{#- A view, so that trips that late data has joined or split show at once. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with trips_rows as (
    select * from {{ ref('stg_trips') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
)

select
    trips.trip_id,
    trips.vehicle_id,
    trips.trip_kind,
    trips.started_at,
    trips.ended_at,
    trips.state,
    trips.samples,
    trips.gps_miles,
    trips.speed_miles,
    trips.odometer_miles,
    trips.idle_seconds,
    trips.speed_max_mph,
    trips.rpm_max,
    trips.start_lat,
    trips.start_lon,
    trips.end_lat,
    trips.end_lon,
    trips.driver_id,
    trips.is_private,
    trips.signals,
    trips.fuel_start_percent,
    trips.fuel_end_percent,
    trips.fuel_noise_percent,
    trips.fuel_coverage,
    trips.refuelled_percent,
    trips.fuel_used_percent,
    trips.event_hour,
    trips.hour_start,
    versions.fleet_id,
    versions.vehicle_type,
    (trips.started_at at time zone coalesce(versions.time_zone, 'UTC'))::date as date_local,
    extract(epoch from trips.ended_at - trips.started_at)::double precision as duration_seconds,
    coalesce(trips.odometer_miles, trips.gps_miles, trips.speed_miles) as distance_miles,
    trips.fuel_used_percent / 100 * versions.tank_gallons as fuel_used_gallons,
    trips.refuelled_percent / 100 * versions.tank_gallons as refuelled_gallons
from trips_rows as trips
left join versions
    on
        trips.vehicle_id = versions.vehicle_id
        and trips.started_at >= versions.valid_from
        and trips.started_at < versions.valid_to
where {{ visible('versions.fleet_id') }}
