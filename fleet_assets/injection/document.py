"""The faults as a page for people: what, where, how large, when models have to find it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.injection.catalogue import Applied, Catalogue, Kind
from fleet_assets.injection.signals import signals_of

REGENERATE: Final = "fleet faults docs --output docs/faults.md"
_WHILE: Final = {
    "any": "at any time",
    "running": "while the engine runs",
    "driving": "while the vehicle drives",
    "warm": "while the engine runs and is warm",
}


def faults_page(catalogue: Catalogue) -> str:
    """Markdown."""
    lines = [
        "# Injected faults",
        "",
        f"Release {catalogue.release}. Made from `fleet_assets/injection/catalogue.yaml` by"
        f" `{REGENERATE}`; do not edit by hand.",
        "",
        *_how(catalogue),
        "| Kind | Family | Title | Length |",
        "| --- | --- | --- | --- |",
        *(_line(kind) for kind in catalogue.kinds),
    ]
    for kind in catalogue.kinds:
        lines += _section(catalogue, kind)
    return "\n".join([*lines, ""])


def size_in_words(kind: Kind, group: Applied) -> str:
    """Range of the magnitude, as one would say it."""
    if kind.magnitude == "duration":
        return "its length"
    if group.most is None:
        return f"{_number(group.least)} {group.unit} or more, as measured"
    usual = " of the usual value" if group.of_usual else ""
    return f"{_number(group.least)} to {_number(group.most)} {group.unit}{usual}"


def clear_in_words(group: Applied) -> str:
    """From which magnitude on models have to find it."""
    return "" if group.clear_from is None else f"{_number(group.clear_from)} {group.unit}"


def _how(catalogue: Catalogue) -> list[str]:
    return [
        "`fleet inject FILE --seed N --to OUT.ndjson.zst --truth OUT.csv` puts them into recorded"
        " drives, which `fleet replay` sends; `fleet_assets.injection` does the same to frames of"
        " `telemetry`. A fault lies within one hour of the clock and one drive (no silence of more"
        f" than {_number(catalogue.longest_silence_s)} s), with"
        f" {_number(catalogue.margin_s)} s or more of healthy messages before it and after it;"
        " there is at most one in an hour of a vehicle, and half of the vehicle-hours have none"
        " unless told otherwise. It is put only where it can show, and never on a signal that the"
        " vehicle does not send. Changed values move in the steps that the vehicle's own values"
        " have, and are cut off at the bounds of the encoding.",
        "",
        "Sizes and lengths are drawn evenly on a logarithmic scale, from barely visible to gross."
        f" Each range is cut into {catalogue.bands} bands: training draws from every other one,"
        " evaluation from those between. A vehicle's UTC day belongs to one of the two"
        f" ({_number(100 * catalogue.evaluation_share)} % to evaluation), and training leaves out"
        f" the family `{catalogue.held_out}` unless another one is named.",
        "",
        "*Clear from* is the size from which models have to find a fault; where there is none,"
        " they never have to. It is about the size alone: `stuck` and `dropout` count their"
        " length.",
        "",
    ]


def _line(kind: Kind) -> str:
    return f"| [{kind.kind}](#{kind.kind}) | {kind.family} | {kind.title} | {_length(kind)} |"


def _section(catalogue: Catalogue, kind: Kind) -> list[str]:
    lines = ["", f"## {kind.kind}", "", f"**{kind.title}** ({kind.family}). {kind.what.strip()}"]
    if kind.until_drive_ends:
        lines[-1] += " It lasts until the drive ends, because nothing undoes it."
    lines += ["", "| Signals | Size | Clear from | Where |", "| --- | --- | --- | --- |"]
    for group in kind.applies_to:
        for where, subjects in _by_place(catalogue, kind, group.signals).items():
            told = _WHILE[where]
            if group.least_change:
                least = f"{_number(group.least_change)} {_own_unit(subjects[0])}"
                told += f" and the healthy signal changes by {least} or more"
            lines.append(
                f"| {_listed(subjects)} | {size_in_words(kind, group)} |"
                f" {clear_in_words(group)} | {told} |"
            )
    return lines


def _by_place(catalogue: Catalogue, kind: Kind, subjects: Iterable[str]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for subject in subjects:
        places.setdefault(catalogue.where(kind, subject), []).append(subject)
    return places


def _own_unit(subject: str) -> str:
    return "m" if subject == "gps" else SIGNAL_BY_NAME[signals_of(subject)[0]].unit or ""


def _length(kind: Kind) -> str:
    return f"{_number(kind.duration_s[0])} to {_number(kind.duration_s[1])} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
