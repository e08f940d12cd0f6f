"""What is wrong with messages, one finding for each fault, for people who write the senders.

The judgement is `place` and `decode`, the same that landing and refresh use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import polars as pl

from fleet_assets.contracts.signals import SIGNAL_BY_NAME, Signal
from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.placement import TimePolicy, place

Severity = Literal["rejected", "value refused", "kept as extra"]
SEVERITIES: Final[tuple[Severity, ...]] = ("rejected", "value refused", "kept as extra")
_LONGEST_VALUE: Final = 80


@dataclass(frozen=True)
class Finding:
    """One fault of one message.

    Attributes:
        index: position of the message in the batch, from 0.
        severity: rejected: the message is; value refused: one signal becomes null; kept as
            extra: keys that no contract names, which is no error.
        reason: code of the reason.
        detail: what was found, in words.
    """

    index: int
    severity: Severity
    reason: str
    detail: str


def findings(messages: Sequence[bytes], arrival: datetime, policy: TimePolicy) -> list[Finding]:
    """Judges messages as if they arrived now without a Kafka key, in their order.

    Args:
        messages: the bytes of each.
        arrival: the moment of arrival, with a time zone.
        policy: which event times are accepted.
    """
    size = len(messages)
    placed = place(
        pl.DataFrame(
            {
                "append_time": pl.Series([arrival] * size, dtype=UTC_MICROSECONDS),
                "key": pl.Series([None] * size, dtype=pl.Binary),
                "value": pl.Series(messages, dtype=pl.Binary),
            }
        ),
        policy,
    ).with_row_index("index")
    rejected = placed.filter(pl.col("reject_reason").is_not_null())
    found = [
        Finding(index, "rejected", reason, detail)
        for index, reason, detail in rejected.select(
            "index", "reject_reason", "reject_detail"
        ).iter_rows()
    ]
    accepted = placed.filter(pl.col("reject_reason").is_null())
    if not accepted.is_empty():
        found += _of_decoded(accepted)
    return sorted(found, key=lambda f: f.index)


def _of_decoded(accepted: pl.DataFrame) -> list[Finding]:
    decoded = decode(accepted)
    indices = accepted["index"].to_list()
    found = [
        Finding(indices[i], "rejected", reason, detail)
        for i, reason, detail in decoded.rejects.iter_rows()
    ]
    odd = decoded.rows.filter(
        pl.col("invalid_values").is_not_null() | pl.col("extra").is_not_null()
    )
    for i, invalid, extra in odd.select("i", "invalid_values", "extra").iter_rows():
        for name, refused in json.loads(invalid or "{}").items():
            signal = SIGNAL_BY_NAME[name]
            detail = f"{signal.wire_name}: {_short(refused['value'])} is not {_expected(signal)}"
            found.append(Finding(indices[i], "value refused", refused["reason"], detail))
        if extra is not None:
            found.append(Finding(indices[i], "kept as extra", "unknown_key", _short_text(extra)))
    return found


def _expected(signal: Signal) -> str:
    match signal.kind:
        case "number":
            return f"a number from {signal.minimum:,.10g} to {signal.maximum:,.10g} {signal.unit}"
        case "boolean":
            return "true or false"
        case "string":
            return f"a text that matches {signal.pattern}"
        case "string_list":
            return f"a list of texts that match {signal.pattern}"


def _short(value: object) -> str:
    return _short_text(json.dumps(value, ensure_ascii=False))


def _short_text(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
