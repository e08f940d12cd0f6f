-- Which share of messages is refused, day by day, and why? (the last 30 days, UTC)
-- plot: line date_utc share reason
with newest as (
    select max(date_utc) as day from marts.mart_data_quality
),

days as (
    select
        quality.date_utc,
        sum(quality.read) as read,
        sum(quality.rejected_unknown_vehicle) as unknown_vehicle,
        sum(quality.rejected_invalid_json) as invalid_json,
        sum(quality.rejected_future + quality.rejected_ancient + quality.rejected_too_late)
            as time_out_of_range,
        sum(quality.rejected_conflicting_duplicate) as conflicting_duplicate,
        sum(quality.rejected) as rejected
    from marts.mart_data_quality as quality
    where quality.date_utc > (select newest.day - 30 from newest)
    group by quality.date_utc
)

select
    days.date_utc,
    reasons.reason,
    round((reasons.messages / nullif(days.read, 0))::numeric, 5) as share
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
