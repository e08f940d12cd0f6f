"""``fleet models train | evaluate``: long work in the shell, with a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from fleet_assets.model_flow.train import Trained


def register(models: typer.Typer) -> None:
    """Add the commands to those of models."""
    models.command()(train)
    models.command()(evaluate)


def train(
    context: typer.Context,
    training_set: Annotated[
        str | None,
        typer.Option("--training-set", help="Train on this set (ts-…); unset: make one."),
    ] = None,
    span_days: Annotated[
        int, typer.Option("--span-days", min=1, help="Days back from the newest closed one.")
    ] = 30,
    last_day: Annotated[
        str | None, typer.Option("--last-day", help="Newest day, such as 2026-11-30.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Another one chooses other vehicles, days and faults.")
    ] = 1,
    vehicles: Annotated[
        int, typer.Option("--vehicles", min=1, help="Most vehicles in the set.")
    ] = 125,
    hours: Annotated[float, typer.Option("--hours", help="Healthy vehicle-hours in all.")] = 1000,
    faulty_hours: Annotated[
        float, typer.Option("--faulty-hours", help="Vehicle-hours that faults are injected into.")
    ] = 3000,
    virtual_each: Annotated[
        int,
        typer.Option(
            "--virtual-each",
            min=0,
            help="Most virtual vehicles of a real one, where a type has few real ones; 0: none.",
        ),
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Make a training set, train a version on it, and keep it. It serves nobody yet.

    The same telemetry and options give the same set and the same version. `fleet models promote`
    lets it serve, if it is good enough; the asset model_choice does so by itself.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from fleet_assets.commands.who import who
    from fleet_assets.lake.store import Lake
    from fleet_assets.mlflow_mirror.mirror import mirror
    from fleet_assets.model_flow.failures import noted_on_failure
    from fleet_assets.model_flow.groups import groups_of_register
    from fleet_assets.model_flow.incidents import feedback_of
    from fleet_assets.model_flow.train import recipe_of, train_model
    from fleet_assets.model_flow.training_sets import SetSettings, make_training_set
    from fleet_assets.settings import Settings, service_address

    if training_set is not None:
        _refuse_with_a_set(context)
    settings = Settings()
    url, lake = service_address("postgres_url", settings), Lake(settings.lake_root)
    wanted = SetSettings(
        span_days,
        _day(last_day),
        seed,
        vehicles,
        hours,
        faulty_hours=faulty_hours,
        virtual_each=virtual_each,
    )
    console = Console(stderr=True)
    columns = (
        *Progress.get_default_columns(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=console, disable=as_json) as progress:
        bars = [
            progress.add_task(name, total=1.0, what="") for name in ("Training set", "Training")
        ]

        def told(number: int) -> Any:
            return lambda what, share: progress.update(bars[number], completed=share, what=what)

        feedback, groups = feedback_of(url), groups_of_register(url)
        with noted_on_failure(url, set(groups.values()), who()):
            set_id = training_set or make_training_set(lake, groups, feedback, wanted, told(0))
            made = train_model(lake, url, set_id, feedback, who(), recipe_of(seed), told(1))
    mirrored = mirror(url, lake.url)
    if as_json:
        told_all = {"version": made.version_id, "training_set": set_id, "seconds": made.seconds}
        print_json(told_all | {"figures": made.card["figures"]})
        return
    _print(made, set_id)
    if mirrored.failed:
        typer.secho(mirrored.in_words, fg=typer.colors.YELLOW, err=True)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Id of a model, or how it begins.")],
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Vehicle group; may be repeated; all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
) -> None:
    """Compare a model with the champion of each group on the evaluation set; nothing else changes.

    The set holds days that no training sees, with faults that none has seen. The comparison is
    counted: a set is used up by too many new recipes. `fleet models promote` goes by the verdict.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from fleet_assets.commands.model_changes import known_model
    from fleet_assets.commands.who import who
    from fleet_assets.lake.store import Lake
    from fleet_assets.model_flow.evaluate import evaluate_challenger
    from fleet_assets.settings import Settings, service_address

    settings = Settings()
    url, lake = service_address("postgres_url", settings), Lake(settings.lake_root)
    chosen = known_model(url, model).version_id
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[what]}"))
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as progress:
        bar = progress.add_task("Comparing", total=1.0, what="")
        found = evaluate_challenger(
            lake, url, chosen, who(), groups=group or None,
            progress=lambda what, share: progress.update(bar, completed=share, what=what),
        )  # fmt: skip
    if as_json:
        told = {"set": found.set_name, "kind": found.decision.kind, "left_out": found.left_out}
        verdicts = found.decision.frame().to_dicts()
        print_json(told | {"verdicts": verdicts})
        return
    console = Console()
    console.print(f"{chosen}, a {found.decision.kind}, on the evaluation set {found.set_name}")
    for name, why in found.left_out.items():
        console.print(f"{name}: not compared: {why}")
    for decided in found.decision.groups:
        champion, wear = found.champions[decided.group], found.wear[decided.group]
        console.print(f"{decided.group}: {decided.verdict} against {champion}")
        for reason in (*decided.reasons, wear.why):
            console.print(f"  {reason}", highlight=False)


_OF_A_NEW_SET: Final = (
    "span_days",
    "last_day",
    "vehicles",
    "hours",
    "faulty_hours",
    "virtual_each",
)


def _refuse_with_a_set(context: typer.Context) -> None:
    given = [name for name in _OF_A_NEW_SET if _is_given(context, name)]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(
            f"{options}: for a new training set only; leave it out, or leave out --training-set."
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _day(given: str | None) -> Any:
    from datetime import date

    from fleet_assets.errors import FleetError

    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        raise FleetError(f"{given!r} is no day: give it as 2026-11-30.") from None


def _print(made: Trained, set_id: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"{made.version_id}, trained on {set_id} in {made.seconds:.0f} s")
    figures = made.card["figures"].get("held_out_days")
    if figures is None:
        console.print(f"No figures: {made.card['figures'].get('none')}")
        return
    table = Table("figure", "value", title="On days that no training sees")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), "–" if value is None else f"{value:,.4g}")
    console.print(table)
    console.print(
        f"`fleet models show {made.version_id}` tells more; it serves nobody until"
        " `fleet models promote` or the asset model_choice has compared it."
    )
