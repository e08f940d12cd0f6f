{#-
    Points and the kinds that rules can judge are of now, for all of history: with other weights, or
    other rules, all days are made again.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    meta={
        "follows": "trips",
        "anew_when": "select (select md5(string_agg(w::text, ' ' order by w::text))
            from marts.driver_score_weights as w), (select md5(string_agg(rule_id || anomaly_type, ' '
            order by rule_id)) from warehouse.rule_catalogue where stage = 'live')"
    },
    indexes=[{"columns": ["date_local"]}, {"columns": ["month_local"]}],
    pre_hook="{{ forget(in_touched_local_days('date_local', 'trips')) }}",
    post_hook="{{ for_fleet_readers() }}"
) }}

with rule_eligibility_rows as (
    select * from {{ ref('stg_rule_eligibility') }}
    where {{ in_hours_of_touched_local_days('hour_start', 'trips') }}
),

rules as (
    select * from {{ ref('stg_rules') }}
),

weights as (
    select * from {{ ref('driver_score_weights') }}
),

-- no driver answers to his employer for a private trip: they are left out altogether
trips as (
    select * from {{ ref('fct_trips') }}
    where
        trip_kind = 'motion'
        and is_private is distinct from true
        and {{ in_touched_local_days('date_local', 'trips') }}
        and {{ in_hours_of_touched_local_days('hour_start', 'trips') }}
),

anomalies as (
    select * from {{ ref('fct_anomalies') }}
    where
        source = 'rule'
        and trip_id is not null
        and {{ in_hours_of_touched_local_days('trip_started_at', 'trips') }}
        and marked_true is distinct from false
        -- series of events that count one by one
        and rule_id not in ('R08', 'R11', 'R14')
),

kinds as materialized (
    select
        rules.anomaly_type,
        array_agg(rules.rule_id) as rules
    from rules
    where
        rules.stage = 'live'
        and rules.anomaly_type in (select weights.anomaly_type from weights)
    group by rules.anomaly_type
),

-- a vehicle that lacks what some kind needs cannot lose points for it
judged as materialized (
    select
        trips.trip_id,
        trips.distance_miles,
        trips.date_local,
        trips.fleet_id,
        coalesce(trips.driver_id, '(unknown)') as driver_id,
        eligibility.vehicle_id is not null and not lacking.some_kind as is_eligible
    from trips
    left join rule_eligibility_rows as eligibility
        on
            trips.vehicle_id = eligibility.vehicle_id
            and trips.hour_start = eligibility.hour_start
    cross join lateral (
        select coalesce(bool_or(eligibility.ineligible ?& kinds.rules), false) as some_kind
        from kinds
    ) as lacking
),

points as materialized (
    select
        anomalies.trip_id,
        sum(weights.points) as points,
        count(*) filter (where anomalies.anomaly_type = 'harsh_braking') as harsh_brakings,
        count(*) filter (where anomalies.anomaly_type = 'harsh_acceleration')
            as harsh_accelerations,
        count(*) filter (where anomalies.anomaly_type = 'harsh_cornering') as harsh_cornerings,
        count(*) filter (where anomalies.anomaly_type = 'over_speeding') as over_speedings
    from anomalies
    inner join weights
        on
            anomalies.anomaly_type = weights.anomaly_type
            and anomalies.severity = weights.severity
    group by anomalies.trip_id
)

select
    judged.date_local,
    judged.driver_id,
    judged.fleet_id,
    count(*) as trips,
    sum(judged.distance_miles) as distance_miles,
    coalesce(sum(judged.distance_miles) filter (where judged.is_eligible), 0) as scored_miles,
    coalesce(sum(judged.distance_miles) filter (where not judged.is_eligible), 0)
        as ineligible_miles,
    coalesce(sum(points.harsh_brakings) filter (where judged.is_eligible), 0)::bigint
        as harsh_brakings,
    coalesce(sum(points.harsh_accelerations) filter (where judged.is_eligible), 0)::bigint
        as harsh_accelerations,
    coalesce(sum(points.harsh_cornerings) filter (where judged.is_eligible), 0)::bigint
        as harsh_cornerings,
    coalesce(sum(points.over_speedings) filter (where judged.is_eligible), 0)::bigint
        as over_speedings,
    coalesce(sum(points.points) filter (where judged.is_eligible), 0) as penalty_points,
    date_trunc('month', judged.date_local::timestamp)::date as month_local
from judged
left join points on judged.trip_id = points.trip_id
group by judged.date_local, judged.driver_id, judged.fleet_id
