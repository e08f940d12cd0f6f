"""A full disk in words: which lake has no room left, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deltalake.exceptions import DeltaError

from fleet_assets.errors import FleetError

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEXTS: Final = ("No space left", "Disk quota exceeded", "File too large", "StorageFull")


class LakeFullError(FleetError):
    """A write to the lake found no room; nothing of it has been committed."""


def lacks_room(error: Exception) -> bool:
    """Whether a write failed because nothing more fits."""
    number = error.errno if isinstance(error, OSError) else None
    return number in _NO_ROOM or any(text in str(error) for text in _TEXTS)


@contextmanager
def room_explained(table_uri: str) -> Iterator[None]:
    """Raises `LakeFullError` for a write that fails for want of room; other errors pass.

    Args:
        table_uri: the table that is written.
    """
    try:
        yield
    except (OSError, DeltaError) as error:
        if lacks_room(error):
            raise LakeFullError(
                f"{table_uri}: no room left on the lake's disk, the write was not committed."
                " Make room; what is missing is then taken in by itself"
            ) from error
        raise
