"""An anomaly in words and numbers for people: confidence, evidence, a sentence, what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from fleet_assets.anomalies.long import LONGEST
from fleet_assets.rules.book import RuleBook
from fleet_assets.rules.catalogue import Rule
from fleet_assets.rules.confidence import Prior, expected_precision
from partitions.hours import hour_key

_ID_LENGTH: Final = 32
TOLD: Final = pl.Schema(
    {
        "event_hour": pl.String(),
        "anomaly_id": pl.String(),
        "rule_version": pl.Int64(),
        "severity_history": pl.String(),
        "confidence": pl.Float64(),
        "continues_id": pl.String(),
        "evidence": pl.String(),
        "description": pl.String(),
        "recommended_action": pl.String(),
    }
)
"""What `told` says of a finding, besides what is known of it."""


def anomaly_id(vehicle_id: str, condition: str, started_at: datetime) -> str:
    """Names an anomaly by what it is: the hash of vehicle, condition and onset in µs."""
    onset = int(started_at.timestamp()) * 1_000_000 + started_at.microsecond
    text = f"{vehicle_id}/{condition}/{onset}"
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


def told(row: Mapping[str, Any], book: RuleBook) -> dict[str, Any]:
    """What is said of a finding: a row of TOLD.

    Args:
        row: a finding with `limit`, `signals`, `onset` of the whole and `number` of the part.
        book: the rules.
    """
    event_hour = hour_key(row["started_at"])
    catalogue = book.catalogue(hour_key(row["onset"]))
    rule = catalogue.rule(row["rule_id"])
    peak = _peak(row["peak"], rule)
    limit = row["limit"]
    signals = json.loads(row["signals"] or "{}")
    number = row["number"]
    own_id = _part_id(row, number)
    history = [
        {"at": _iso(step["at"]), "severity": step["severity"], "rule_id": step["rule_id"]}
        for step in row["severity_history"]
    ]
    evidence = {
        "peak": peak,
        "peak_at": None if row["peak_at"] is None else _iso(row["peak_at"]),
        "limit": limit,
        "unit": rule.unit,
        "samples": row["samples"],
        "duration_s": (row["ended_at"] - row["started_at"]).total_seconds(),
        "signals": signals,
    }
    _, _, subject = str(row["condition"]).partition("/")
    if subject:
        evidence["subject"] = subject
    return {
        "event_hour": event_hour,
        "anomaly_id": own_id,
        "rule_version": rule.version,
        "severity_history": json.dumps(history),
        "confidence": confidence(rule, catalogue.unmeasured, peak, limit, signals),
        "continues_id": _part_id(row, number - 1) if number else None,
        "evidence": json.dumps(evidence),
        "description": rule.says.format(
            peak=_number(peak),
            limit=_number(limit),
            duration=duration_in_words(row["ended_at"] - row["started_at"]),
            subject=subject,
        ),
        "recommended_action": rule.action,
    }


def confidence(
    rule: Rule,
    unmeasured: Prior,
    peak: float | None,
    limit: float | None,
    signals: Mapping[str, Any],
) -> float:
    """How sure a finding is, 0 to 1: the formula of the catalogue's head.

    Args:
        rule: the highest tier that was reached.
        unmeasured: what the catalogue holds of rules that nobody has measured.
        peak: how far the measured value went.
        limit: the number that was passed, in the same unit.
        signals: values at the first sample, by name.
    """
    agreed = 1.0 if rule.agreement is None else rule.agreement.of(signals, limit)
    expected = expected_precision(rule.precision, unmeasured)
    return round(rule.confidence.of(peak, limit) * expected * agreed, 4)


def duration_in_words(span: timedelta) -> str:
    """The two largest units, such as `1 h 5 min`."""
    seconds = round(span.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def _part_id(row: Mapping[str, Any], number: int) -> str:
    started_at = row["onset"] + LONGEST * number
    return anomaly_id(row["vehicle_id"], row["condition"], started_at)


def _peak(peak: float | None, rule: Rule) -> float | None:
    """As measured: rules that look for small values have it negated."""
    if peak is None:
        return None
    return -peak if looks_for_small(rule) and peak < 0 else peak


def looks_for_small(rule: Rule) -> bool:
    """It clears above the number that sets it."""
    given, clear = rule.parameters.get("set"), rule.parameters.get("clear")
    if given is None or clear is None:
        return False
    if given.value is not None and clear.value is not None:
        return clear.value > given.value
    return clear.of == "set" and (clear.plus > 0 or clear.times > 1)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
