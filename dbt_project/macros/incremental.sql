{#-
    A table whose windows are all untouched is left as it is: making nothing of it costs as much as
    making little. `follows` says whose windows count: the touched hours unless it names a topic.

    `anew_when` asks for what all rows depend on, such as prices: all of them are made again once the
    answer has changed (warehouse.dbt_relations holds the one that they were made by).
-#}
{% materialization incremental, adapter='postgres' %}
    {%- set windows = touched_windows(topic=config.get('meta', {}).get('follows', 'hours')) -%}
    {%- if windows is not none and windows | length == 0 and not flags.EMPTY -%}
        {{ return(left_as_it_is('table')) }}
    {%- endif -%}
    {%- set answer = answer_of_anew_when() -%}
    {%- set made = dbt.materialization_incremental_default() -%}
    {%- if answer is not none and not is_unchanged(answer) -%}
        {%- do note_fingerprint(answer) -%}
    {%- endif -%}
    {{ return(made) }}
{% endmaterialization %}

{% macro answer_of_anew_when() %}
    {%- set asked = model.config.get('meta', {}).get('anew_when') -%}
    {%- if not execute or asked is none -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(local_md5(run_query(asked).rows[0].values() | map('string') | join(' '))) }}
{% endmacro %}

{#- All rows of the model that is compiled have to be made again. -#}
{% macro follows_anew() %}
    {%- if model.resource_type != 'model' -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set answer = answer_of_anew_when() -%}
    {{ return(answer is not none and not is_unchanged(answer)) }}
{% endmacro %}
