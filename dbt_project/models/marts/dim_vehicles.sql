{{ config(
    meta={"unchanged_while": "select count(*), max(imported_at) from warehouse.vehicles_history"},
    post_hook="{{ for_fleet_readers() }}"
) }}

{#- Bounds that every tool can read in place of -infinity and infinity. -#}
with versions as (
    select * from {{ ref('stg_vehicle_versions') }}
)

select
    vehicle_id,
    vin,
    make,
    model,
    year,
    vehicle_type,
    fleet_id,
    region,
    status,
    refrigerated,
    has_pto,
    tank_gallons,
    redline_rpm,
    nominal_voltage,
    time_zone,
    imported_at,
    greatest(valid_from, timestamptz '1970-01-01 00:00:00+00') as valid_from,
    least(valid_to, timestamptz '9999-12-31 00:00:00+00') as valid_to,
    valid_to = 'infinity' as is_current,
    min(imported_at) over (partition by vehicle_id) as registered_at
from versions
