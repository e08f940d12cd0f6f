"""``fleet features``: the catalogue of features, for whoever models or reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from rich.console import Console

features = typer.Typer(no_args_is_help=True, help="What models are told of each vehicle.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(features, name="features")


@features.command("list")
def list_features(
    group: Annotated[str | None, typer.Option(help="Only those of a group.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show all features: group, unit, horizon, signals."""
    from fleet_assets.errors import FleetError
    from fleet_assets.features.catalogue import read_features

    found = read_features()
    groups = list(dict.fromkeys(feature.group for feature in found.features))
    if group is not None and group not in groups:
        raise FleetError(f"{group} is no group of features; there are {', '.join(groups)}.")
    chosen = [feature for feature in found.features if group in (None, feature.group)]
    if as_json:
        text = [feature.model_dump(mode="json", exclude_defaults=True) for feature in chosen]
        print_json(text)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "feature", "group", "unit", "horizon s", "needs",
        title=f"release {found.release}, {len(chosen)} features",
    )  # fmt: skip
    for feature in chosen:
        needs = ", ".join(feature.signals) or "messages"
        table.add_row(feature.name, feature.group, feature.unit, str(feature.horizon_s), needs)
    Console().print(table)


@features.command()
def show(
    name: Annotated[str, typer.Argument(metavar="FEATURE", help="Such as rpm_mean_60s.")],
    vehicle: Annotated[
        str | None, typer.Option(help="Also what is usual for this vehicle, by driving regime.")
    ] = None,
) -> None:
    """Say what a feature means: definition, unit, horizon, signals, when it is null."""
    from rich.console import Console

    from fleet_assets.features.catalogue import read_features

    feature = read_features().feature(name.lower())
    console = Console()
    console.print(f"[bold]{feature.name}[/bold] ({feature.group}, {feature.unit})")
    console.print(feature.definition)
    console.print(f"  horizon: {feature.horizon_s} s", highlight=False)
    console.print(f"  needs: {', '.join(feature.signals) or 'messages'}", highlight=False)
    console.print(f"  null: {feature.null_policy}", highlight=False)
    if vehicle is not None:
        _show_baseline(console, feature.name, vehicle)


def _show_baseline(console: Console, feature: str, vehicle: str) -> None:
    from rich.table import Table

    from fleet_assets.commands.feature_baseline import newest_baseline
    from fleet_assets.settings import Settings

    of, rows = newest_baseline(Settings().lake_root, feature, vehicle)
    table = Table(
        "regime", "days", "usual", "spread", "type usual", "type spread", "vehicles",
        title=f"{vehicle}, baseline of {of}",
    )  # fmt: skip
    columns = "regime", "days", "center", "spread", "type_center", "type_spread", "type_vehicles"
    for row in rows.select(columns).iter_rows():
        table.add_row(*(f"{x:,.4g}" if isinstance(x, float) else str(x) for x in row))
    console.print(table)


@features.command()
def docs(
    output: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is current.")
    ] = False,
) -> None:
    """Print the features as a page."""
    from fleet_assets.commands.pages import give
    from fleet_assets.features.catalogue import read_features
    from fleet_assets.features.document import REGENERATE, features_page

    usual = Path("docs/features.md")
    page = features_page(read_features())
    give(page, output, check=check, usual=usual, regenerate=REGENERATE)
