"""One finding: what is wrong and what cures it, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Cure = Literal["end_dead_runs", "stop_leftovers", "remove_orphans", "make_topics", "migrate"]
"""What `--fix` can do; everything else is for a person."""

T = TypeVar("T")
MOST_LINES = 8
"""Findings of one kind that are printed singly."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        check: what was looked at, one word: kafka, gaps, hours, runs, …
        problem: what was found, with numbers and names.
        cure: what to do about it.
        fix: how `--fix` cures it; None: it does not.
    """

    check: str
    problem: str
    cure: str
    fix: Cure | None = None

    @property
    def line(self) -> str:
        """The finding as it is printed."""
        fixable = " (--fix does it)" if self.fix else ""
        return " ".join(f"{self.check}: {self.problem} → {self.cure}{fixable}".split())


def unknown(check: str, why: str, cure: str) -> Finding:
    """What could not be looked at, said once."""
    return Finding(check, f"cannot be told: {why}", cure)


def shortened(findings: Sequence[Finding], rest: str) -> list[Finding]:
    """The first of many findings of one kind, and how many more there are.

    Args:
        findings: of one kind.
        rest: command that shows all.
    """
    if len(findings) <= MOST_LINES:
        return list(findings)
    more = len(findings) - MOST_LINES
    return [*findings[:MOST_LINES], Finding(findings[0].check, f"{more:,} more such", rest)]


def some(names: Iterable[T], most: int = 3) -> str:
    """The first names, and how many there are beside them."""
    listed = [str(name) for name in names]
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more:,} more" if more > 0 else "")


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:,.0f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


def span(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
