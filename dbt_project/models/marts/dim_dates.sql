{{ config(
    meta={"unchanged_while": "select 1"},
    post_hook="{{ for_all_readers() }}"
) }}

with days as (
    select generate_series(date '2000-01-01', date '2049-12-31', interval '1 day')::date as date_day
)

select
    date_day,
    extract(year from date_day)::integer as year,
    extract(quarter from date_day)::integer as quarter,
    extract(month from date_day)::integer as month,
    date_trunc('month', date_day)::date as month_start,
    extract(isoyear from date_day)::integer as iso_year,
    extract(week from date_day)::integer as iso_week,
    date_trunc('week', date_day)::date as week_start,
    extract(isodow from date_day)::integer as iso_weekday,
    to_char(date_day, 'FMDay') as weekday_name,
    extract(isodow from date_day) >= 6 as is_weekend
from days
