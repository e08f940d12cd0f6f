"""Hours: stale for too long, failed, withheld, released, with damaged raw files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet_assets.doctor.finding import Finding, shortened, some, span


@dataclass(frozen=True)
class HourTrouble:
    """A stage of an hour that fails or is withheld."""

    stage: str
    event_hour: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    detail: str


@dataclass(frozen=True)
class ActiveOverride:
    """An override that holds."""

    stage: str
    event_hour: str
    released_by: str
    released_at: datetime
    reason: str


@dataclass(frozen=True)
class HourFacts:
    """How the hours do.

    Attributes:
        overdue: hours whose landed messages wait for longer than they may.
        oldest_waiting_seconds: how long the oldest of them has waited.
        troubles: stages that fail or are withheld.
        overrides: what was released by hand and still holds.
        damaged: hours with raw files that are gone or cut off, in words.
    """

    now: datetime
    overdue: Sequence[str] = ()
    oldest_waiting_seconds: float = 0
    troubles: Sequence[HourTrouble] = ()
    overrides: Sequence[ActiveOverride] = ()
    damaged: Mapping[str, str] | None = None


def check_hours(facts: HourFacts) -> list[Finding]:
    """Hours that do not get on."""
    found: list[Finding] = []
    if facts.overdue:
        found.append(
            Finding(
                "stale",
                f"{len(facts.overdue):,} hours wait for the marts for longer than they may"
                f" ({some(facts.overdue)}), the oldest for {span(facts.oldest_waiting_seconds)}",
                "see the runs of the job refresh and the tick of refresh_sensor in the Dagster UI;"
                " `fleet ledger --state stale` lists them",
            )
        )
    failed = [_failed(one, facts.now) for one in facts.troubles if one.state == "failed"]
    withheld = [_withheld(one) for one in facts.troubles if one.state == "withheld"]
    found += shortened(failed, "`fleet ledger --state failed`")
    found += shortened(withheld, "`fleet ledger --state withheld`")
    found += [
        Finding(
            "override",
            f"{one.stage} of {one.event_hour} is released by {one.released_by} since"
            f" {one.released_at:%Y-%m-%d %H:%M} ({one.reason}): what depends on it has old input",
            "it ends when the hour passes, or by"
            f" `fleet ledger revoke {one.event_hour} --stage {one.stage}`",
        )
        for one in facts.overrides
    ]
    found += shortened(
        [
            Finding(
                "damaged",
                f"{hour}: {what}",
                "restore them from a copy of the lake; without, the hour keeps what it has and"
                " cannot be rebuilt",
            )
            for hour, what in sorted((facts.damaged or {}).items())
        ],
        "`fleet ledger --state gap`",
    )
    return found


def _failed(one: HourTrouble, now: datetime) -> Finding:
    if one.next_attempt_at is None:
        when = "no next attempt is planned"
    elif one.next_attempt_at <= now:
        when = "the next attempt is due"
    else:
        when = f"next attempt in {span((one.next_attempt_at - now).total_seconds())}"
    release = (
        f"; or let the rest go on: `fleet ledger release {one.event_hour} --stage {one.stage}"
        " --reason …`"
        if one.stage in ("telemetry", "vehicle_hours")
        else ""
    )
    return Finding(
        "failed",
        f"{one.stage} of {one.event_hour}: {one.attempts} attempts, {when}: {one.detail[:160]}",
        f"remove the cause, it is tried again by itself{release}",
    )


def _withheld(one: HourTrouble) -> Finding:
    return Finding(
        "withheld",
        f"{one.stage} of {one.event_hour} waits: {one.detail[:160]}",
        "it goes on when the stage before passes",
    )
