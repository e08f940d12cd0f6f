{{ config(
    meta={"unchanged_while": "select count(*), max(imported_at) from warehouse.vehicles_history"},
    post_hook="{{ for_fleet_readers() }}"
) }}

with versions as (
    select * from {{ ref('stg_vehicle_versions') }}
)

select
    fleet_id,
    count(distinct vehicle_id) filter (where valid_to = 'infinity') as vehicles,
    count(distinct vehicle_id) filter (where valid_to = 'infinity' and status = 'active')
        as active_vehicles,
    count(distinct vehicle_id) as vehicles_ever,
    string_agg(distinct region, ', ' order by region) filter (where valid_to = 'infinity')
        as regions,
    min(imported_at) as registered_at
from versions
group by fleet_id
