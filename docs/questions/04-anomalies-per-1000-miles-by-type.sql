-- How many anomalies does each type of vehicle have in 1,000 miles? (the last 30 days)
-- plot: bar vehicle_type per_1000_miles severity
with newest as (
    select max(date_local) as day from marts.mart_fleet_days
),

miles as (
    select
        days.vehicle_type,
        sum(days.distance_miles) as miles
    from marts.mart_type_days as days
    where days.date_local > (select newest.day - 30 from newest)
    group by days.vehicle_type
),

found as (
    select
        anomalies.vehicle_type,
        anomalies.severity,
        count(distinct anomalies.finding_id) as findings
    from marts.fct_anomalies as anomalies
    where
        anomalies.date_local > (select newest.day - 30 from newest)
        and anomalies.marked_true is distinct from false
    group by anomalies.vehicle_type, anomalies.severity
)

select
    found.vehicle_type,
    found.severity,
    found.findings,
    round(miles.miles::numeric) as miles,
    round((found.findings / nullif(miles.miles, 0) * 1000)::numeric, 2) as per_1000_miles
from found
inner join miles on found.vehicle_type = miles.vehicle_type
order by
    found.vehicle_type,
    array_position(array['low', 'medium', 'high', 'critical'], found.severity)
