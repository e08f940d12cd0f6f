{#-
    Who sees which rows. Logins of some fleets (role bi_fleet_reader) see the rows of their fleets;
    all others that may read marts see all of them (marts.sees_all_fleets, by migration).

    A view reads its sources by the rights of its owner, whom no policy binds: it filters by
    `visible(fleet_id)` itself, and is a barrier, so that no function of the reader's runs on rows
    that it hides. A table has a policy, which is set once: setting it waits for all readers.
-#}
{% macro visible(column) -%}
    ((select marts.sees_all_fleets()) or {{ column }} in (select fleet_id from marts.visible_fleets))
{%- endmacro %}

{#- For a post-hook of a model with rows of fleets that their readers may read. -#}
{% macro for_fleet_readers() -%}
    {%- if execute and model.config.materialized == 'view' -%}
        alter view {{ this }} set (security_barrier = true);
        grant select on {{ this }} to bi_fleet_reader
    {%- elif execute and not has_policy(this) -%}
        alter table {{ this }} enable row level security;
        create policy visible_fleets on {{ this }} for select using ({{ visible('fleet_id') }});
        grant select on {{ this }} to bi_fleet_reader
    {%- endif -%}
{%- endmacro %}

{% macro has_policy(relation) %}
    {%- set asked -%}
        select count(*) from pg_policies
        where schemaname = '{{ relation.schema }}' and tablename = '{{ relation.identifier }}'
    {%- endset -%}
    {{ return(run_query(asked).columns[0].values()[0] > 0) }}
{% endmacro %}

{#- For a post-hook of a model without rows of any fleet. -#}
{% macro for_all_readers() -%}
    grant select on {{ this }} to bi_fleet_reader
{%- endmacro %}
