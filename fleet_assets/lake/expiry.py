"""Raw messages of an hour go for good, without an archive, once all they said stands elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.expired import expired_rows, expired_upto
from fleet_assets.lake.retire import RAW, retire
from fleet_assets.lake.store import Lake


@dataclass(frozen=True)
class Expired:
    """What became of the raw messages of one hour.

    Attributes:
        rows: messages removed.
        kept_because: why nothing was removed; None: it was.
    """

    event_hour: str
    rows: int
    files: int
    kept_because: str | None = None


def expire_hour(lake: Lake, event_hour: str) -> Expired:
    """Removes the raw messages of one hour if every one of them is accounted for elsewhere.

    An hour that is not wholly taken in, or whose counts do not agree, is left as it is.
    """
    told = retire(lake, RAW, event_hour, datetime.max.replace(tzinfo=UTC), (), None)
    if told.kept_because is None:
        fault_point("expiry.committed")
    return Expired(event_hour, told.rows, told.files, told.kept_because)


__all__ = ["Expired", "expire_hour", "expired_rows", "expired_upto"]
