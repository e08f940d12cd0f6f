"""A lake whose commits are caught: what steps would write is looked at instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from fleet_assets.lake.store import Lake, TableSnapshot


@dataclass(frozen=True)
class Proposal:
    """What a step would have committed to one table.

    Attributes:
        table: as it is, in the version that the step has read.
        added: rows by hour or day.
        removed: files that these rows would replace.
        progress: the marks that would stand in the commit.
    """

    table: TableSnapshot
    added: Mapping[str | None, Sequence[pl.DataFrame]]
    removed: pl.DataFrame
    progress: Mapping[str, int]

    def in_line(self, *but: str) -> bool:
        """What is stored was made from the same inputs: the marks would not change.

        Args:
            but: beginnings of the names of marks that every commit changes.
        """
        return all(
            self.table.committed(name) == mark
            for name, mark in self.progress.items()
            if not name.startswith(but)
        )

    def stored(self) -> pl.DataFrame:
        """Rows as they are."""
        return self.table.read_files(self.removed)

    def made(self) -> pl.DataFrame:
        """Rows as they would be."""
        frames = [rows for of_key in self.added.values() for rows in of_key]
        empty = self.table.contract.polars_schema.to_frame()
        return pl.concat([empty, *(rows.select(empty.columns) for rows in frames)])


@dataclass(frozen=True)
class ProposedLake(Lake):
    """Reads a lake, and keeps what would be committed to it in `proposals`."""

    proposals: list[Proposal] = field(default_factory=list)

    def open(self, name: str) -> TableSnapshot:
        """A snapshot whose commits are caught."""
        return self._caught(Lake(self.url).open(name))

    def find(self, name: str) -> TableSnapshot | None:
        """A snapshot whose commits are caught, or None."""
        found = Lake(self.url).find(name)
        return None if found is None else self._caught(found)

    def _caught(self, table: TableSnapshot) -> TableSnapshot:
        return _Caught(table.contract, table.delta, self.proposals)


@dataclass(frozen=True)
class _Caught(TableSnapshot):
    proposals: list[Proposal]

    def commit_files(
        self,
        added: Mapping[str | None, Sequence[pl.DataFrame]],
        removed: pl.DataFrame,
        progress: Mapping[str, int],
        *,
        data_change: bool = True,
    ) -> None:
        """Kept, not committed."""
        del data_change
        self.proposals.append(Proposal(self, added, removed, progress))

    def commit_actions(self, *_: object, **__: object) -> None:
        """Files that are written already cannot be taken back.

        Raises:
            RuntimeError: always, so that a verification never writes.
        """
        raise RuntimeError(
            f"{self.contract.name} is rebuilt in a scratch lake: nothing is written here"
        )

    append = commit_actions
