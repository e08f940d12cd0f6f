-- In each row: read = accepted + duplicate + rejected + pending, and each reject has a reason.
select
    date_utc,
    vehicle_id,
    read,
    accepted,
    duplicate,
    rejected,
    pending
from {{ ref('mart_data_quality') }}
where
    {{ in_touched_days('date_utc') }}
    and (
        read != accepted + duplicate + rejected + pending
        or rejected != 0
        {%- for reason in var('reject_reasons') %}
            + rejected_{{ reason }}
        {%- endfor %}
    )
