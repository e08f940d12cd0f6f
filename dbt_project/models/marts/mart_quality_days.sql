{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget(in_touched_days('date_utc')) }}"
) }}

with quality as (
    select * from {{ ref('mart_data_quality') }}
    where {{ in_touched_days('date_utc') }}
)

select
    date_utc,
    count(*) filter (where vehicle_id <> '(none)') as vehicles,
    sum(read)::bigint as read,
    sum(accepted)::bigint as accepted,
    sum(duplicate)::bigint as duplicate,
    sum(rejected)::bigint as rejected,
    sum(pending)::bigint as pending,
    {%- for reason in var('reject_reasons') %}
        sum(rejected_{{ reason }})::bigint as rejected_{{ reason }},
    {%- endfor %}
    sum(open_rejects)::bigint as open_rejects,
    sum(late)::bigint as late,
    max(newest_append_time) as newest_append_time
from quality
group by date_utc
