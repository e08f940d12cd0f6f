"""The headers of a telemetry message that landing looks at: whether it replays a reject.

Hardly any message has headers, so what is found is kept by position and becomes a column at the
end.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

import polars as pl

from fleet_assets.telemetry.coordinates import REPLAY_OF_HEADER, Coordinates


def note_replay(
    headers: Iterable[tuple[str, str | bytes | None]], position: int, into: MutableMapping[int, str]
) -> None:
    """Notes the coordinates that the header names, if they are such; the last one counts.

    Args:
        headers: headers of one message.
        position: its row.
        into: row → coordinates.
    """
    for name, value in headers:
        if name == REPLAY_OF_HEADER and value is not None:
            text = value if isinstance(value, str) else value.decode("utf-8", "replace")
            origin = Coordinates.parse(text)
            if origin is not None:
                into[position] = str(origin)


def replay_column(replays: MutableMapping[int, str], rows: int) -> pl.Series:
    """The column `replay_of` of so many rows."""
    if not replays:
        return pl.Series("replay_of", [None], dtype=pl.String).new_from_index(0, rows)
    return pl.Series("replay_of", [replays.get(i) for i in range(rows)], dtype=pl.String)
