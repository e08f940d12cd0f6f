{#-
    Views, seeds, and tables of what rarely changes, are made anew only when something about them has
    changed: their SQL, documentation, hooks, or what `unchanged_while` asks for. A refresh every
    few seconds would else drop each view, and those that read it with it: for that time a reader is
    told that they do not exist, and one long query would keep dbt, and all who come after, waiting.

    warehouse.dbt_relations holds the fingerprint that a relation was made by, with its oid: one
    that was dropped is made again. `--full-refresh` makes all of them.
-#}
{% materialization view, adapter='postgres' %}
    {%- set fingerprint = fingerprint_of_model() -%}
    {%- if is_unchanged(fingerprint) -%}
        {{ return(left_as_it_is('view')) }}
    {%- endif -%}
    {%- set made = dbt.materialization_view_default() -%}
    {%- do note_fingerprint(fingerprint) -%}
    {{ return(made) }}
{% endmaterialization %}

{% materialization table, adapter='postgres' %}
    {%- set asked = config.get('meta', {}).get('unchanged_while') -%}
    {%- if asked is none -%}
        {{ return(dbt.materialization_table_default()) }}
    {%- endif -%}
    {%- set answer = run_query(asked).rows[0].values() | map('string') | join(' ') -%}
    {%- set fingerprint = fingerprint_of_model(answer) -%}
    {%- if is_unchanged(fingerprint) -%}
        {{ return(left_as_it_is('table')) }}
    {%- endif -%}
    {%- set made = dbt.materialization_table_default() -%}
    {%- do note_fingerprint(fingerprint) -%}
    {{ return(made) }}
{% endmaterialization %}

{#- A seed is emptied before it is filled, which waits for its readers, and they for it. -#}
{% materialization seed, adapter='postgres' %}
    {%- set fingerprint = fingerprint_of_model() -%}
    {%- if is_unchanged(fingerprint) -%}
        {%- do store_result('agate_table', response='OK', agate_table=load_agate_table()) -%}
        {{ return(left_as_it_is('table')) }}
    {%- endif -%}
    {%- set made = dbt.materialization_seed_default() -%}
    {%- do note_fingerprint(fingerprint) -%}
    {{ return(made) }}
{% endmaterialization %}

{% macro fingerprint_of_model(answer='') %}
    {%- set content = model['checksum'] if model.resource_type == 'seed' else sql -%}
    {%- set hooks = [] -%}
    {%- for hook in pre_hooks + post_hooks -%}
        {#- of a table, what a hook writes depends on what the table has by now -#}
        {%- set is_view = model.config.materialized == 'view' -%}
        {%- do hooks.append(render(hook['sql']) if is_view else hook['sql']) -%}
    {%- endfor -%}
    {{ return(local_md5(tojson([content, hooks, model.description, model.columns, answer]))) }}
{% endmacro %}

{% macro is_unchanged(fingerprint) %}
    {%- if should_full_refresh() or flags.EMPTY -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set asked -%}
        select count(*) from warehouse.dbt_relations
        where
            relation = '{{ this.schema }}.{{ this.identifier }}'
            and fingerprint = '{{ fingerprint }}'
            and made_as = to_regclass('{{ this.schema }}.{{ this.identifier }}')
    {%- endset -%}
    {{ return(run_query(asked).rows[0][0] == 1) }}
{% endmacro %}

{% macro left_as_it_is(type) %}
    {%- do store_raw_result('main', message='UNCHANGED', code='UNCHANGED', rows_affected='0') -%}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
{% endmacro %}

{% macro note_fingerprint(fingerprint) %}
    {%- call statement('note_fingerprint', auto_begin=true) -%}
        insert into warehouse.dbt_relations (relation, fingerprint, made_as)
        values (
            '{{ this.schema }}.{{ this.identifier }}',
            '{{ "(empty)" if flags.EMPTY else fingerprint }}',
            to_regclass('{{ this.schema }}.{{ this.identifier }}')
        )
        on conflict (relation) do update
        set
            fingerprint = excluded.fingerprint,
            made_as = excluded.made_as,
            made_at = clock_timestamp()
    {%- endcall -%}
    {%- do adapter.commit() -%}
{% endmacro %}
