-- Which share of messages is refused, day by day, and why? (the last 30 days, UTC)
-- plot: line date_utc share reason
with newest as (
    select max(date_utc) as day from marts.mart_quality_days
),

days as (
    select
        quality.date_utc,
        quality.read,
        quality.rejected,
        quality.rejected_unknown_vehicle as unknown_vehicle,
        quality.rejected_invalid_json as invalid_json,
        quality.rejected_future + quality.rejected_ancient + quality.rejected_too_late
            as time_out_of_range,
        quality.rejected_conflicting_duplicate as conflicting_duplicate
    from marts.mart_quality_days as quality
    where quality.date_utc > (select newest.day - 30 from newest)
)

select
    days.date_utc,
    reasons.reason,
    round(reasons.messages::numeric / nullif(days.read, 0), 5) as share
from days
cross join lateral (
    values
    ('unknown vehicle', days.unknown_vehicle),
    ('invalid JSON', days.invalid_json),
    ('time out of range', days.time_out_of_range),
    ('conflicting duplicate', days.conflicting_duplicate),
    (
        'other',
        days.rejected - days.unknown_vehicle - days.invalid_json - days.time_out_of_range
        - days.conflicting_duplicate
    )
) as reasons (reason, messages)
order by days.date_utc, reasons.reason
