"""A model card for people: plain text that reads as Markdown, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, Final

_MOST_NUMBERS: Final = 10


def card_text(card: Mapping[str, Any]) -> str:
    """What a card tells, section by section; what it does not tell is left out.

    Args:
        card: of `models.card.model_card`; further entries of `figures` are shown as they are.
    """
    sections = (
        ("Data", _data(card.get("data", {}))),
        ("Recipe", _facts(card.get("recipe", {}))),
        ("Thresholds", _facts(card.get("thresholds", {}))),
        ("Figures", _facts(dict(numbers_of(card.get("figures", {}))))),
        ("What it looks at most", _importance(card.get("importance", {}))),
        ("Limits", [f"- {limit}" for limit in card.get("limits", ())]),
    )
    return "\n".join(
        line for title, lines in sections if lines for line in (f"## {title}", "", *lines, "")
    )


def numbers_of(figures: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of figures, those of settings within others as `known.recall`."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{within}{name}.")
        elif isinstance(value, Real) and not isinstance(value, bool):
            yield f"{within}{name}", float(value)


def _data(data: Mapping[str, Any]) -> list[str]:
    plain = {name: value for name, value in data.items() if not isinstance(value, Mapping)}
    parts = [
        f"- {_words(name)}: {', '.join(f'{of} {count}' for of, count in value.items())}"
        for name, value in data.items()
        if isinstance(value, Mapping) and value
    ]
    return [*_facts(plain), *parts]


def _facts(facts: Mapping[str, Any]) -> list[str]:
    return [f"- {_words(name)}: {_value(value)}" for name, value in facts.items()]


def _importance(importance: Mapping[str, float]) -> list[str]:
    ranked = sorted(importance.items(), key=lambda each: -each[1])[:_MOST_NUMBERS]
    return [f"- {name}: {value:.1%}" for name, value in ranked]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
