"""The audit of models that serve: rows that are only ever added, and the state that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal

import polars as pl

from fleet_assets.errors import FleetError

Stage = Literal["alone", "shadow", "part"]
Action = Literal[
    "first", "challenge", "refuse", "wait", "to_part", "to_all", "drop", "roll_back",
    "training_failed", "replace",
]  # fmt: skip


@dataclass(frozen=True)
class Serving:
    """Which models compute in a group.

    Attributes:
        champion: version that serves all vehicles that the challenger does not serve.
        challenger: version on trial.
        stage: alone: no challenger; shadow: it computes and serves nobody; part: it serves some.
        share: of vehicles that the challenger serves. It stands here, not in the policy alone, so
            that a change of the policy does not change the past.
    """

    champion: str
    challenger: str | None = None
    stage: Stage = "alone"
    share: float = 0.0

    def __post_init__(self) -> None:
        assert (self.challenger is None) == (self.stage == "alone")
        assert (self.share > 0) == (self.stage == "part")
        assert self.champion != self.challenger


@dataclass(frozen=True)
class AuditRow:
    """One change in one group: who, when, from what, to what, why.

    Attributes:
        number: place in the audit, over all groups; what was decided last counts.
        made_at: when it was decided (UTC).
        valid_from: event time, a whole hour, from which on it counts.
        before: None: no model has served.
    """

    number: int
    made_at: datetime
    valid_from: datetime
    made_by: str
    group: str
    action: Action
    before: Serving | None
    after: Serving | None
    why: str


@dataclass(frozen=True)
class Request:
    """Who wants a change, when and why.

    Attributes:
        valid_from: event time, a whole hour, from which on it counts; None: the next whole hour,
            because the hour that runs has been computed in part. An earlier one pins anew what
            was computed, and is for an explicit backfill.
    """

    group: str
    made_at: datetime
    made_by: str
    why: str
    valid_from: datetime | None = None


def state_of(rows: Sequence[AuditRow], group: str) -> Serving | None:
    """What was decided last for a group."""
    own = rows_of(rows, group)
    return own[-1].after if own else None


def rows_of(rows: Sequence[AuditRow], group: str) -> list[AuditRow]:
    """The rows of a group by their numbers.

    Raises:
        FleetError: a row does not begin where the one before it has ended.
    """
    own = sorted((row for row in rows if row.group == group), key=lambda row: row.number)
    starts = [None, *(row.after for row in own)]
    for row, start in zip(own, starts, strict=False):
        if row.before != start:
            raise FleetError(
                f"The audit of {group} is broken: change {row.number} begins with {row.before},"
                f" the one before it has left {start}."
            )
    if any(first.number == second.number for first, second in pairwise(own)):
        raise FleetError(f"The audit of {group} is broken: two changes have the same number.")
    return own


def added(
    rows: Sequence[AuditRow], request: Request, action: Action, after: Serving | None
) -> AuditRow:
    """The row that a request adds; the caller appends it.

    Raises:
        FleetError: times are without time zone, `valid_from` is no whole hour, or nobody or no
            reason is named.
    """
    if not request.made_by.strip() or not request.why.strip():
        raise FleetError("Say who changes which model serves, and why.")
    valid_from = request.valid_from or next_hour(request.made_at)
    for moment in (request.made_at, valid_from):
        if moment.tzinfo is None:
            raise FleetError(f"{moment} has no time zone; give times in UTC.")
    if valid_from != _hour(valid_from):
        raise FleetError(f"{valid_from} is no whole hour: each event hour has one model.")
    return AuditRow(
        number=max((row.number for row in rows), default=0) + 1,
        made_at=request.made_at,
        valid_from=valid_from,
        made_by=request.made_by,
        group=request.group,
        action=action,
        before=state_of(rows, request.group),
        after=after,
        why=request.why,
    )


def next_hour(moment: datetime) -> datetime:
    """The first whole hour at or after a moment."""
    hour = _hour(moment)
    return hour if hour == moment else hour + timedelta(hours=1)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


_STATE_SCHEMA: Final = {
    "champion": pl.String(), "challenger": pl.String(), "stage": pl.String(), "share": pl.Float64(),
}  # fmt: skip
AUDIT_SCHEMA: Final = pl.Schema(
    {
        "number": pl.Int64(),
        "made_at": pl.Datetime("us", "UTC"),
        "valid_from": pl.Datetime("us", "UTC"),
        "made_by": pl.String(),
        "group": pl.String(),
        "action": pl.String(),
        **{f"{name}_before": kind for name, kind in _STATE_SCHEMA.items()},
        **{f"{name}_after": kind for name, kind in _STATE_SCHEMA.items()},
        "why": pl.String(),
    }
)
"""The audit as a table."""


def audit_frame(rows: Sequence[AuditRow]) -> pl.DataFrame:
    """Rows of AUDIT_SCHEMA."""
    return pl.DataFrame([_flat(row) for row in rows], schema=AUDIT_SCHEMA)


def audit_rows(frame: pl.DataFrame) -> list[AuditRow]:
    """What `audit_frame` was made of."""
    return [_nested(row) for row in frame.iter_rows(named=True)]


def _flat(row: AuditRow) -> dict[str, Any]:
    flat = asdict(row)
    for when in ("before", "after"):
        state = flat.pop(when) or {}
        flat |= {f"{name}_{when}": state.get(name) for name in _STATE_SCHEMA}
    return flat


def _nested(row: dict[str, Any]) -> AuditRow:
    def state(when: str) -> Serving | None:
        of = {name: row[f"{name}_{when}"] for name in _STATE_SCHEMA}
        return Serving(**of) if of["champion"] is not None else None

    plain = {name: value for name, value in row.items() if not name.endswith(("_before", "_after"))}
    return AuditRow(**plain, before=state("before"), after=state("after"))
