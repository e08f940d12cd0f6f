"""``fleet inject``: real drives with faults in them. ``fleet faults``: which faults there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from fleet_assets.fleet_sim.faulted import Faulted
    from fleet_assets.injection.draws import Split
    from fleet_assets.injection.plan import Chosen

faults = typer.Typer(no_args_is_help=True, help="The faults that `fleet inject` knows.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(inject)
    app.add_typer(faults, name="faults")


def inject(
    file: Annotated[Path, typer.Argument(help="NDJSON of healthy drives; .zst: compressed.")],
    to: Annotated[Path, typer.Option(help="Write the messages here (.ndjson, .zst).")],
    truth: Annotated[Path, typer.Option(help="Write what is true of the faults here (.csv).")],
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Same seed and options: same faults.")
    ] = 1,
    kinds: Annotated[
        str | None, typer.Option(help="Which kinds, with commas between; default: all.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train or evaluate: sizes, lengths and days that the other one never has;"
            " messages of its days only."
        ),
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(help="The family that training leaves out.")
    ] = None,
    untouched: Annotated[
        float, typer.Option(min=0, max=1, help="Share of vehicle-hours that stay healthy.")
    ] = 0.5,
) -> None:
    """Put faults into the drives of FILE, for `fleet replay`; other lines keep their bytes."""
    from fleet_assets.fleet_sim.faulted import with_faults
    from fleet_assets.fleet_sim.progress import Progress
    from fleet_assets.fleet_sim.sinks import FileSink
    from fleet_assets.injection.truth import write_truth

    _check_paths(file, to, truth)
    chosen = _chosen(kinds, split, held_out, untouched)
    with Progress("Reading", None) as progress:
        found = with_faults(file, seed, chosen, progress)
    with Progress("Writing", len(found.lines)) as progress, FileSink(to) as sink:
        found.send(sink, progress)
    write_truth(truth, found.truth)
    _say(found, to, truth)


def _check_paths(file: Path, to: Path, truth: Path) -> None:
    from fleet_assets.errors import FleetError

    paths = [path.resolve() for path in (file, to, truth)]
    if len(set(paths)) < len(paths):
        raise FleetError("FILE, --to and --truth must be three different files.")


def _chosen(kinds: str | None, split: str | None, held_out: str | None, untouched: float) -> Chosen:
    from fleet_assets.errors import FleetError
    from fleet_assets.injection.plan import Chosen

    if split not in (None, "train", "evaluate"):
        raise FleetError(f"--split {split} is unknown: it is train or evaluate.")
    names = None if kinds is None else [name.strip() for name in kinds.split(",")]
    return Chosen(names, cast("Split | None", split), held_out, untouched)


def _say(found: Faulted, to: Path, truth: Path) -> None:
    by_kind = found.truth["kind"].value_counts(sort=True).sort("count", "kind", descending=True)
    told = ", ".join(f"{kind} {count:,}" for kind, count in by_kind.iter_rows())
    typer.echo(
        f"Wrote {len(found.lines):,} messages to {to}, {found.changed:,} of them changed by"
        f" {found.truth.height:,} faults of {found.truth['vehicle_id'].n_unique():,} vehicles"
        f" ({told}); {found.truth['is_clear'].sum():,} are clear. What is true of them is in"
        f" {truth}."
    )
    if found.unreadable or found.contested:
        typer.echo(
            f"Left as they were: {found.unreadable:,} lines that are no message,"
            f" {found.contested:,} that share vehicle and time with another one."
        )


@faults.command("list")
def list_faults() -> None:
    """Show all kinds: family, signals, sizes, lengths, and when a fault is clear."""
    from rich.console import Console
    from rich.table import Table

    from fleet_assets.injection.catalogue import read_catalogue
    from fleet_assets.injection.document import clear_in_words, size_in_words

    catalogue = read_catalogue()
    table = Table(title=f"release {catalogue.release}, {len(catalogue.kinds)} kinds")
    for name in ("kind", "family", "signals", "size", "clear from", "length"):
        table.add_column(name, no_wrap=name in ("kind", "signals"))
    for kind in catalogue.kinds:
        for number, group in enumerate(kind.applies_to):
            head = ("", "") if number else (kind.kind, kind.family)
            length = "" if number else f"{kind.duration_s[0]:g} to {kind.duration_s[1]:g} s"
            table.add_row(
                *head, "\n".join(group.signals), size_in_words(kind, group),
                clear_in_words(group), length,
            )  # fmt: skip
    Console().print(table)


@faults.command()
def docs(
    output: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is current.")
    ] = False,
) -> None:
    """Print the faults as a page."""
    from fleet_assets.commands.pages import give
    from fleet_assets.injection.catalogue import read_catalogue
    from fleet_assets.injection.document import REGENERATE, faults_page

    usual = Path("docs/faults.md")
    give(faults_page(read_catalogue()), output, check=check, usual=usual, regenerate=REGENERATE)
