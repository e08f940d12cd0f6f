{#- A view, so that what late data makes of a day shows at once. -#}
{{ config(materialized='view', post_hook="{{ for_fleet_readers() }}") }}

with days as (
    select * from {{ ref('fct_vehicle_days') }}
),

hours as (
    select
        *,
        seconds_seen * (1 - coalesce(missing_speed, 0)) as speed_seconds
    from {{ ref('fct_vehicle_hours') }}
),

eligibility_rows as (
    select * from {{ ref('stg_rule_eligibility') }}
),

anomalies_rows as (
    select
        *,
        -- several harsh events within minutes, which count one by one already
        coalesce(rule_id in ('R08', 'R11', 'R14'), false) as is_series
    from {{ ref('fct_anomalies') }}
    where {{ visible('fleet_id') }}
),

spreads as (
    -- of the day from those of its hours: the mean of squares less the square of the mean
    select
        vehicle_id,
        date_local,
        sum(speed_seconds * (speed_std_mph ^ 2 + speed_avg_mph ^ 2))
        / nullif(sum(speed_seconds) filter (where speed_std_mph is not null), 0) as speed_square,
        sum(speed_seconds * speed_avg_mph) filter (where speed_std_mph is not null)
        / nullif(sum(speed_seconds) filter (where speed_std_mph is not null), 0) as speed_mean,
        sum(engine_seconds * (rpm_std ^ 2 + rpm_avg ^ 2))
        / nullif(sum(engine_seconds) filter (where rpm_std is not null), 0) as rpm_square,
        sum(engine_seconds * rpm_avg) filter (where rpm_std is not null)
        / nullif(sum(engine_seconds) filter (where rpm_std is not null), 0) as rpm_mean
    from hours
    group by vehicle_id, date_local
),

judged as (
    select
        hours.vehicle_id,
        hours.date_local,
        count(*) filter (where not jsonb_exists(eligibility.ineligible, 'R05')) as hours_braking,
        count(*) filter (where not jsonb_exists(eligibility.ineligible, 'R09'))
            as hours_acceleration,
        count(*) filter (where not jsonb_exists(eligibility.ineligible, 'R12')) as hours_cornering,
        count(*) filter (where not jsonb_exists(eligibility.ineligible, 'R18')) as hours_speeding
    from eligibility_rows as eligibility
    inner join hours
        on
            eligibility.hour_start = hours.hour_start
            and eligibility.vehicle_id = hours.vehicle_id
    group by hours.vehicle_id, hours.date_local
),

found as (
    select
        vehicle_id,
        date_local,
        count(*) as anomalies,
        count(*) filter (where anomaly_type = 'harsh_braking' and not is_series) as braking,
        count(*) filter (where anomaly_type = 'harsh_acceleration' and not is_series)
            as acceleration,
        count(*) filter (where anomaly_type = 'harsh_cornering' and not is_series)
            as cornering,
        count(*) filter (where anomaly_type = 'over_speeding') as speeding
    from anomalies_rows
    group by vehicle_id, date_local
)

select
    days.date_local,
    days.vehicle_id,
    days.fleet_id,
    days.vehicle_type,
    days.rpm_avg as avg_rpm,
    days.rpm_max as max_rpm,
    days.speed_avg_mph as avg_speed,
    days.speed_max_mph as max_speed,
    days.idle_seconds as idle_time,
    days.idle_share,
    days.engine_seconds as engine_time,
    days.moving_seconds as moving_time,
    days.distance_miles,
    days.fuel_used_percent,
    days.coolant_max_c as max_coolant,
    case
        when spreads.rpm_square is not null
            then sqrt(greatest(spreads.rpm_square - spreads.rpm_mean ^ 2, 0))
    end as std_rpm,
    case
        when spreads.speed_square is not null
            then sqrt(greatest(spreads.speed_square - spreads.speed_mean ^ 2, 0))
    end as std_speed,
    case when judged.hours_braking > 0 then coalesce(found.braking, 0) end as harsh_braking_count,
    case when judged.hours_acceleration > 0 then coalesce(found.acceleration, 0) end
        as harsh_acceleration_count,
    case when judged.hours_cornering > 0 then coalesce(found.cornering, 0) end
        as harsh_cornering_count,
    case when judged.hours_speeding > 0 then coalesce(found.speeding, 0) end as speeding_count,
    coalesce(found.anomalies, 0) as anomaly_count
from days
left join spreads
    on days.vehicle_id = spreads.vehicle_id and days.date_local = spreads.date_local
left join judged
    on days.vehicle_id = judged.vehicle_id and days.date_local = judged.date_local
left join found
    on days.vehicle_id = found.vehicle_id and days.date_local = found.date_local
where {{ visible('days.fleet_id') }}
