"""``fleet models``: versions, what each is worth, and where it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet_assets.commands import model_changes, model_mirror, model_training
from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from fleet_assets.warehouse.model_registry import ModelVersion, NotedDecision

models = typer.Typer(
    no_args_is_help=True, help="What finds anomalies that no rule describes: versions, who serves."
)
model_changes.register(models)
model_training.register(models)
model_mirror.register(models)
_JSON = typer.Option("--json", help="For scripts.")
_FIGURES = ("clear_recall", "recall", "precision", "false_alarms_per_hour")
"""Shown in lists, as far as a version has them, under the first setting that has them."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(models, name="models")


@models.command("list")
def list_models(as_json: Annotated[bool, _JSON] = False) -> None:
    """Show all versions, the newest first: recipe, data, figures, where each serves."""
    from fleet_assets.mlflow_mirror.aliases import serves_in_words
    from fleet_assets.settings import service_address
    from fleet_assets.warehouse.model_registry import read_audit, versions

    url = service_address("postgres_url")
    found, serves = versions(url), serves_in_words(read_audit(url))
    if as_json:
        print_json([_plain(each) | {"serves": serves.get(each.version_id)} for each in found])
        return
    from rich.console import Console
    from rich.table import Table

    if not found:
        Console().print("No models yet: `fleet models train` makes the first one.")
        return
    table = Table("model", "recipe", "trained (UTC)", "data", "vehicles", "figures", "serves")
    for each in found:
        table.add_row(
            each.version_id, each.recipe_id, f"{each.trained_at:%Y-%m-%d %H:%M}", _span(each),
            str(each.counts.get("vehicles", "–")), _figures(each), serves.get(each.version_id, "–"),
        )  # fmt: skip
    Console().print(table)


@models.command()
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its id, or how that begins.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Say what a model is: its card, where it serves, how comparisons with others went."""
    from fleet_assets.lake.artifacts import Artifacts
    from fleet_assets.mlflow_mirror.aliases import serves_in_words
    from fleet_assets.model_store import read_card
    from fleet_assets.models.card_text import card_text
    from fleet_assets.settings import Settings, service_address
    from fleet_assets.warehouse.model_registry import decisions, read_audit

    settings = Settings()
    url = service_address("postgres_url", settings)
    found = model_changes.known_model(url, model)
    serves = serves_in_words(read_audit(url)).get(found.version_id)
    verdicts = decisions(url, challenger=found.version_id)
    card, problem = read_card(Artifacts(settings.lake_root), found.version_id)
    if as_json:
        told = {"serves": serves, "card": card, "problem": problem}
        print_json(_plain(found) | told | {"decisions": [_verdict(each) for each in verdicts]})
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(f"[bold]{found.version_id}[/bold] for {', '.join(found.groups)}", highlight=False)
    for name, text in {
        "serves": serves or "nowhere",
        "trained": f"{found.trained_at:%Y-%m-%d %H:%M} UTC by {found.trained_by}",
        "recipe": found.recipe_id,
        "data": f"{_span(found)}, training set {found.training_set}, version {found.data_version}",
    }.items():
        console.print(f"  {name}: {text}", highlight=False)
    console.print(f"[red]{problem}[/red]" if problem else Markdown(card_text(card)))
    console.print(
        "[bold]Verdicts[/bold]" if verdicts else "It was not compared with another model."
    )
    for each in verdicts:
        where = f"evaluation set {each.set_name}" if each.set_name else f"trial, {each.trial_stage}"
        console.print(
            f"{each.decided_at:%Y-%m-%d %H:%M} {each.of.group}: {each.of.verdict} against"
            f" {each.champion} ({each.kind}, {where})", highlight=False,
        )  # fmt: skip
        for reason in each.of.reasons:
            console.print(f"  {reason}", highlight=False)


def _plain(version: ModelVersion) -> dict[str, Any]:
    return vars(version) | {"recipe_id": version.recipe_id}


def _verdict(noted: NotedDecision) -> dict[str, Any]:
    from dataclasses import asdict

    flat = asdict(noted)
    of: dict[str, Any] = flat.pop("of")
    return flat | of


def _span(version: ModelVersion) -> str:
    return f"{version.first_event_time:%Y-%m-%d} to {version.last_event_time:%Y-%m-%d}"


def _figures(version: ModelVersion) -> str:
    from fleet_assets.models.card_text import numbers_of

    shown: dict[str, str] = {}
    for path, value in numbers_of(version.figures):
        name = path.rpartition(".")[2]
        if name in _FIGURES and name not in shown:
            shown[name] = f"{name.replace('_', ' ')} {value:.3g}"
    return ", ".join(shown[name] for name in _FIGURES if name in shown) or "–"
