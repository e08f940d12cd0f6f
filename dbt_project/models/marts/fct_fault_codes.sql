{#- A view: a late message may join two stretches of a code, or split one. -#}
{#- `not materialized`: a CTE that is used twice would else be read whole, for each stretch. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with vehicle_codes_rows as not materialized (
    select * from {{ ref('stg_vehicle_codes') }}
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

pieces as (
    select
        *,
        lag(last_hour_start) over vehicle_code as hour_before,
        lag(date_utc) over vehicle_code as date_before,
        lag(ends_within_day) over vehicle_code as ended_before
    from {{ ref('mart_fault_code_days') }}
    window vehicle_code as (partition by vehicle_id, code order by hour_start)
),

beginnings as (
    select
        pieces.*,
        case
            when pieces.hour_before is null then 1
            when pieces.begins_within_day or pieces.ended_before then 1
            when pieces.date_utc - pieces.date_before = 1 then 0
            when exists (
                    select 1
                    from told
                    where
                        told.vehicle_id = pieces.vehicle_id
                        and told.hour_start > pieces.hour_before
                        and told.hour_start < pieces.hour_start
                ) then 1
            else 0
        end as begins
    from pieces
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
        max(last_hour_start) as last_hour,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        sum(hours_told)::bigint as hours_told
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
