"""The lake's files: orphans, missing ones, crowded hours, tables unlike their contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet_assets.doctor.finding import Finding, shortened, size, some, span

MOST_FILES = 32
"""Files of a closed hour; compaction leaves far fewer."""


@dataclass(frozen=True)
class TableFacts:
    """One table.

    Attributes:
        orphans: paths, within the table, of files that no version which the log still knows refers
            to, and that are older than the safety age → bytes.
        missing: files that the newest version refers to and that are gone or of another size.
        crowded: closed hours that lie in too many files → number of files.
        unlike: how its columns differ from the contract, in words; None: they do not.
    """

    orphans: Mapping[str, int] = field(default_factory=dict)
    missing: Sequence[str] = ()
    crowded: Mapping[str, int] = field(default_factory=dict)
    unlike: str | None = None


@dataclass(frozen=True)
class LakeFacts:
    """All tables by name; `orphan_age_seconds` is the safety age."""

    tables: Mapping[str, TableFacts]
    orphan_age_seconds: float


def check_lake(facts: LakeFacts) -> list[Finding]:
    """Files that should not be, that should be, that are too many."""
    found: list[Finding] = []
    for name, table in facts.tables.items():
        if table.unlike:
            found.append(Finding("schema", f"{name}: {table.unlike}", _SCHEMA_CURE))
        if table.orphans:
            found.append(
                Finding(
                    "orphans",
                    f"{name} has {len(table.orphans):,} files"
                    f" ({size(sum(table.orphans.values()))}) that no version refers to, older than"
                    f" {span(facts.orphan_age_seconds)}: {some(sorted(table.orphans), 1)}",
                    "they do no harm and can go",
                    "remove_orphans",
                )
            )
        if table.missing:
            found.append(
                Finding(
                    "missing files",
                    f"{name} refers to {len(table.missing):,} files that are gone or cut off:"
                    f" {some(sorted(table.missing), 1)}",
                    _MISSING_CURE.get(name, _REBUILD),
                )
            )
    found += shortened(
        [
            Finding(
                "small files",
                f"{hour} of {name} lies in {files} files",
                "see that the upkeep of the lake runs: it compacts closed hours",
            )
            for name, table in facts.tables.items()
            for hour, files in sorted(table.crowded.items(), reverse=True)
        ],
        "`fleet ledger --format csv` has the files of each hour",
    )
    return found


_SCHEMA_CURE = (
    "the next write adds columns that are new; for all else install the version that wrote it"
)
_REBUILD = "rebuild the hours from raw: job refresh in the Dagster UI, with rebuild"
_MISSING_CURE = {
    "raw_telemetry": "restore them from a copy of the lake: raw cannot be made anew",
    "landings": "restore them from a copy of the lake",
}
