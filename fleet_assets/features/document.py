"""The features as a page for people."""

from __future__ import annotations

from typing import Final

from fleet_assets.features.catalogue import Feature, FeatureCatalogue

REGENERATE: Final = "fleet features docs --output docs/features.md"


def features_page(catalogue: FeatureCatalogue) -> str:
    """Markdown."""
    lines = [
        "# Features",
        "",
        f"Release {catalogue.release}, {len(catalogue.features)} features. Made from"
        f" `fleet_assets/features/catalogue.yaml` by `{REGENERATE}`; do not edit by hand.",
        "",
        "One row of feature windows is one vehicle at one `window_end`, usually each 10 s, where"
        " the vehicle has sent in the last step. A feature looks at [`window_end` − horizon,"
        " `window_end`): nothing at or after `window_end` counts.",
        "",
        "Values are means over whole seconds of the clock first (but for highest and lowest"
        " values), so that 1 and 50 Hz give nearly the same. An *interval* leads from one such"
        " value to the next known one of the same signal; means over time go by trapezoids along"
        " intervals. There is no interval across a gap, an explicit null or a conflict: no"
        " difference is taken there, and the value after it counts with a millisecond. A gap is a"
        f" silence of more than {_number(catalogue, 'gap_intervals')} usual intervals of the"
        f" vehicle, at least {_number(catalogue, 'least_gap_s')} and at most"
        f" {_number(catalogue, 'most_gap_s')} s; a vehicle that is not known yet is taken to send"
        f" each {_number(catalogue, 'unknown_interval_s')} s.",
        "",
        "## Numbers",
        "",
        "| Number | Value | Unit | Means |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {number.value:g} | {number.unit} | {number.means} |"
            for name, number in catalogue.numbers.items()
        ),
        "",
        "## All",
        "",
        "| Feature | Group | Unit | Horizon | Needs |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| [{feature.name}](#{feature.name}) | {feature.group} | {feature.unit} |"
            f" {feature.horizon_s} s | {needs(feature)} |"
            for feature in catalogue.features
        ),
    ]
    for feature in catalogue.features:
        lines += [
            "",
            f"### {feature.name}",
            "",
            f"{feature.definition} In {feature.unit}, over {feature.horizon_s} s.  ",
            f"Null: {feature.null_policy}",
        ]
    return "\n".join([*lines, ""])


def needs(feature: Feature) -> str:
    """The signals that a feature needs, in words."""
    return ", ".join(f"`{name}`" for name in feature.signals) or "messages"


def _number(catalogue: FeatureCatalogue, name: str) -> str:
    return f"{catalogue.number(name):g}"
