{#- A view: a late message may join two stretches of a code, or split one. -#}
{#- `not materialized`: a CTE that is used twice would else be read whole, for each stretch. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with vehicle_codes_rows as not materialized (
    select * from {{ source('warehouse', 'vehicle_codes') }}
),

versions as (
    select * from {{ ref('stg_vehicle_versions') }}
),

-- hours in which the vehicle told codes, be it that there are none
told as not materialized (
    select
        vehicle_id,
        hour_start,
        first_seen
    from vehicle_codes_rows
    where code is null
),

shown as (
    select
        *,
        lag(hour_start) over (partition by vehicle_id, code order by hour_start) as hour_before
    from vehicle_codes_rows
    where code is not null
),

beginnings as (
    select
        shown.*,
        case
            when shown.hour_before is null then 1
            when shown.hour_start - shown.hour_before = interval '1 hour' then 0
            when exists (
                    select 1
                    from told
                    where
                        told.vehicle_id = shown.vehicle_id
                        and told.hour_start > shown.hour_before
                        and told.hour_start < shown.hour_start
                ) then 1
            else 0
        end as begins
    from shown
),

numbered as (
    select
        *,
        sum(begins) over (partition by vehicle_id, code order by hour_start) as stretch
    from beginnings
),

stretches as (
    select
        vehicle_id,
        code,
        min(event_hour) as event_hour,
        min(hour_start) as hour_start,
        max(hour_start) as last_hour,
        min(first_seen) as first_seen_at,
        max(last_seen) as last_seen_at,
        count(*) as hours_told
    from numbered
    group by vehicle_id, code, stretch
)

select
    stretches.vehicle_id,
    stretches.code,
    stretches.first_seen_at,
    stretches.last_seen_at,
    cleared.first_seen as cleared_at,
    stretches.hours_told,
    stretches.event_hour,
    stretches.hour_start,
    versions.fleet_id,
    versions.vehicle_type,
    cleared.first_seen is null as is_standing,
    case left(stretches.code, 1)
        when 'P' then 'powertrain'
        when 'B' then 'body'
        when 'C' then 'chassis'
        when 'U' then 'network'
    end as code_system,
    (stretches.first_seen_at at time zone coalesce(versions.time_zone, 'UTC'))::date as date_local
from stretches
left join versions
    on
        stretches.vehicle_id = versions.vehicle_id
        and stretches.first_seen_at >= versions.valid_from
        and stretches.first_seen_at < versions.valid_to
left join lateral (
    -- the next hour with codes is without this one: else it would belong to the stretch
    select told.first_seen
    from told
    where told.vehicle_id = stretches.vehicle_id and told.hour_start > stretches.last_hour
    order by told.hour_start
    limit 1
) as cleared on true
where {{ visible('versions.fleet_id') }}
