"""One step of a refresh: read, decide, check, commit, for one hour or for many small ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from fleet_assets.lake.hour_tables import HourTables, Write
from fleet_assets.lake.messages import Span, messages
from fleet_assets.lake.present import Readmission, base_of, rejects_without, without
from fleet_assets.telemetry.hour import HourStep, step
from fleet_assets.telemetry.outcomes import outcomes_after, vehicle_outcomes_after
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate

_TOTALS = ["read", "accepted", "duplicate", "rejected", "pending", "late"]


Checked = dict[str, tuple[Verdict, dict[str, int]]]
"""By table: the verdict on all rows of all hours, and the number of rows by hour."""


@dataclass(frozen=True)
class Made:
    """What a step or a rebuild has made.

    Attributes:
        read: messages by hour.
        checked: the checks that ran before the commits.
        outcomes: rows of `telemetry_outcomes` of the hours.
    """

    read: Mapping[str, int]
    checked: Checked
    outcomes: pl.DataFrame

    def verdicts(self, event_hour: str) -> tuple[Verdict, ...]:
        """The checks that ran on an hour's rows."""
        return tuple(
            Verdict(name, rows.get(event_hour, 0), verdict.failures)
            for name, (verdict, rows) in self.checked.items()
        )

    def totals(self, event_hour: str) -> dict[str, int]:
        """The hour's counts."""
        return totals(self.outcomes.filter(pl.col("event_hour") == event_hour))


def take_in(
    tables: HourTables,
    spans: Mapping[str, Span],
    known_vehicles: frozenset[str],
    late_after: timedelta,
    back: Readmission | None = None,
) -> Made:
    """Takes the messages of the spans in.

    Raises:
        InvalidHourError: rows break their contract; nothing is committed.
        CommitConflictError: another commit has changed one of the hours.
    """
    new = messages(tables.raw, spans)
    base = base_of(tables, {hour: span.since for hour, span in spans.items()})
    change = step(new, known_vehicles, base, None if back is None else back.messages)
    outcomes, vehicles = counted(tables, spans, change, late_after)
    checked = check(
        telemetry=change.telemetry_added,
        telemetry_rejects=change.rejects_added,
        telemetry_outcomes=outcomes,
        vehicle_outcomes=vehicles,
    )
    tables.commit(
        {
            "telemetry": _plus(
                without(tables.telemetry, spans, change.contested), change.telemetry_added
            ),
            **followers(tables, spans, change, back, outcomes, vehicles),
        },
        {hour: span.upto for hour, span in spans.items()},
        readmitted=0 if back is None else back.looked_into,
    )
    read = pl.concat([new["event_hour"], *([] if back is None else [back.messages["event_hour"]])])
    return Made(_rows_by_hour(read), checked, outcomes)


def counted(
    tables: HourTables, spans: Mapping[str, Span], change: HourStep, late_after: timedelta
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The outcomes of the hours after a change, by range and by vehicle."""
    ranges, vehicles = tables.telemetry_outcomes, tables.vehicle_outcomes
    return (
        outcomes_after(ranges.read_files(ranges.files_of(spans)), change.verdicts, late_after),
        vehicle_outcomes_after(
            vehicles.read_files(vehicles.files_of(spans)), change.verdicts, late_after
        ),
    )


def followers(
    tables: HourTables,
    spans: Mapping[str, Span],
    change: HourStep,
    back: Readmission | None,
    outcomes: pl.DataFrame,
    vehicles: pl.DataFrame,
) -> dict[str, Write]:
    """What the tables that follow `telemetry` are to hold."""
    rejects = rejects_without(tables, spans, change.contested, back)
    return {
        "telemetry_rejects": _plus(rejects, change.rejects_added),
        "telemetry_outcomes": Write([outcomes], tables.telemetry_outcomes.files_of(spans)),
        "vehicle_outcomes": Write([vehicles], tables.vehicle_outcomes.files_of(spans)),
    }


def check(**frames: pl.DataFrame) -> Checked:
    """Checks the rows of each table against its contract.

    Raises:
        InvalidHourError: some rows break it.
    """
    checked: Checked = {
        name: (validate(name, rows, None), _rows_by_hour(rows["event_hour"]))
        for name, rows in frames.items()
    }
    verdicts = [verdict for verdict, _ in checked.values()]
    if not all(verdict.passed for verdict in verdicts):
        raise InvalidHourError(verdicts)
    return checked


def added_up(before: Checked, more: Checked) -> Checked:
    """The same checks on several parts of the rows, all of which passed."""
    return {
        name: (
            verdict,
            {hour: rows.get(hour, 0) + _known_rows(before, name, hour) for hour in rows}
            | {h: n for h, n in before[name][1].items() if h not in rows}
            if name in before
            else rows,
        )
        for name, (verdict, rows) in more.items()
    }


def _known_rows(checked: Checked, name: str, event_hour: str) -> int:
    return checked[name][1].get(event_hour, 0)


def totals(outcomes: pl.DataFrame) -> dict[str, int]:
    """Sums of the counts."""
    return outcomes.select(pl.col(_TOTALS).sum()).row(0, named=True)


def _plus(write: Write, rows: pl.DataFrame) -> Write:
    """The same and these rows, in a file of their own per hour."""
    return Write([*write.rows, rows], write.removed, write.written)


def _rows_by_hour(hours: pl.Series) -> dict[str, int]:
    return dict(hours.value_counts().iter_rows())
