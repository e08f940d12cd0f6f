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
        "## Baselines and pins",
        "",
        "z-scores compare with baselines: what was usual for the vehicle, and for its type, in the"
        f" same driving regime on the {_number(catalogue, 'baseline_days')} days (UTC) before the"
        " day of the window's last moment. A day is summarised by median and MAD of its windows"
        " (`feature_days`), without windows that look at a known incident: a live rule's finding"
        " about the vehicle, not its driver, of severity high or critical that was not marked as"
        " false. Days with fewer than"
        f" {_number(catalogue, 'baseline_least_windows')} windows in a regime do not count for it."
        " A vehicle with n days counts n / (n +"
        f" {_number(catalogue, 'baseline_shrink_days')}) itself, its type the rest.",
        "",
        "Cold start: a vehicle without days of its own has its type's baseline, a type of fewer"
        f" than {_number(catalogue, 'baseline_least_vehicles')} vehicles the fleet's. Where no day"
        " before tells anything, z-scores are null.",
        "",
        "Baselines of a day (`vehicle_baselines`) are made once, as version 1, and never changed."
        " An hour is pinned to the version that it is scored by first (`warehouse.input_pins`):"
        " late messages are scored by the pin. Another version, and moving hours to it, are asked"
        " for: `repin` in the run's configuration.",
        "",
        "Regimes, by the means of the last minute:"
        f" below {_number(catalogue, 'moving_mph')} mph `off` (engine below"
        f" {_number(catalogue, 'engine_on_rpm')} rpm) or `idle`, below"
        f" {_number(catalogue, 'highway_mph')} mph `city`, else `highway`.",
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
