"""Which rejects there are, and what became of each: open, replayed or resolved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from fleet_assets.contracts.tables import TELEMETRY_REJECTS
from fleet_assets.errors import FleetError
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.coordinates import COORDINATES, Coordinates, coordinates_text
from fleet_assets.warehouse.reject_replays import replay_states, replays_of

OPEN: Final = "open"
REPLAYED: Final = "replayed"
RESOLVED: Final = "resolved"
REPLAY: Final = "replay"
STATES: Final = {
    OPEN: "nothing was done about it",
    REPLAYED: "it was sent again; the replay is on its way, or was rejected too",
    RESOLVED: "its replay was accepted",
    REPLAY: "it is itself a replay that was rejected; its origin is listed",
}
HINTS: Final = {
    "unknown_vehicle": "register the vehicle (`fleet vehicles import`): its messages then come"
    " back by themselves, no replay is needed",
    "conflicting_duplicate": "another message of this vehicle and time was accepted: sent again as"
    " it is, it would be refused or count as a duplicate",
    "empty": "there is nothing to mend",
}
SHOWN: Final = [
    "coordinates", "state", "reason", "vehicle_id", "append_time", "event_time", "event_hour",
    "detail", "outcome",
]  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """Which rejects are meant; what is not given does not restrict.

    Attributes:
        reasons: any of these.
        vehicle_id: of this vehicle, as far as it could be read.
        start, end: arrived at or after start and before end.
        coordinates: exactly these.
    """

    reasons: tuple[str, ...] = ()
    vehicle_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    coordinates: tuple[Coordinates, ...] = ()

    @property
    def as_json(self) -> dict[str, Any]:
        """For the audit trail."""
        return {
            "reasons": list(self.reasons),
            "vehicle_id": self.vehicle_id,
            "from": self.start and self.start.isoformat(),
            "to": self.end and self.end.isoformat(),
            "coordinates": [str(c) for c in self.coordinates],
        }

    def condition(self) -> pl.Expr:
        """The choice as a condition on rows of telemetry_rejects."""
        found = pl.lit(True)
        if self.reasons:
            found &= pl.col("reason").is_in(list(self.reasons))
        if self.vehicle_id is not None:
            found &= pl.col("vehicle_id") == self.vehicle_id
        if self.start is not None:
            found &= pl.col("append_time") >= self.start
        if self.end is not None:
            found &= pl.col("append_time") < self.end
        if self.coordinates:
            found &= is_one_of(self.coordinates)
        return found.fill_null(False)

    def files(self, known: list[str]) -> pl.Expr | None:
        """The same for whole files, as far as their statistics tell."""
        found = pl.lit(True)
        if self.start is not None and "max.append_time" in known:
            found &= (pl.col("max.append_time") >= self.start).fill_null(True)
        if self.end is not None and "min.append_time" in known:
            found &= (pl.col("min.append_time") < self.end).fill_null(True)
        return found


def is_one_of(coordinates: tuple[Coordinates, ...]) -> pl.Expr:
    """Rows at these coordinates."""
    offsets = pl.col("kafka_offset").is_in([c.offset for c in coordinates])
    return offsets & coordinates_text().is_in([str(c) for c in coordinates])


def find_rejects(lake: Lake, postgres_url: str, choice: Choice) -> pl.DataFrame:
    """The chosen rejects without their bytes, newest arrival first.

    Returns:
        Columns SHOWN, COORDINATES and `origin`: the coordinates of the message that a vehicle
        sent, which are the reject's own unless it is a replay. `outcome` says what became of
        the newest replay.
    """
    table = lake.find("telemetry_rejects")
    if table is None:
        return _described(
            TELEMETRY_REJECTS.polars_schema.to_frame(), pl.DataFrame(schema=_STATE_SCHEMA)
        )
    columns = [
        "event_hour", *COORDINATES, "reason", "detail", "vehicle_id", "event_time", "append_time",
        "replay_of",
    ]  # fmt: skip
    rows = table.read(
        columns=columns, where=choice.condition(), files_where=choice.files(table.files.columns)
    )
    return _described(rows, replay_states(postgres_url))


def locate(lake: Lake, text: str) -> Coordinates:
    """Full coordinates of a reject from ``topic_id/partition/offset`` or ``partition/offset``.

    Raises:
        FleetError: it is not of this form, there is no such reject, or several.
    """
    full = Coordinates.parse(text)
    short = Coordinates.parse(f"any/{text}") if full is None else None
    wanted = full or short
    if wanted is None:
        raise FleetError(
            f"{text!r} names no message: write topic_id/partition/offset or partition/offset,"
            " as `fleet rejects list` does."
        )
    same = (pl.col("kafka_partition") == wanted.partition) & (
        pl.col("kafka_offset") == wanted.offset
    )
    if full is not None:
        same &= pl.col("kafka_topic_id") == full.topic_id
    table = lake.find("telemetry_rejects")
    rows = [] if table is None else table.read(columns=COORDINATES, where=same).rows()
    found = [Coordinates(*row) for row in rows]
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise FleetError(f"{text} stands for {len(found)} rejects, name one in full: {listed}.")
    if not found:
        raise FleetError(f"No reject is known at {text}{_whereabouts(lake, same)}")
    return found[0]


def in_full(lake: Lake, postgres_url: str, text: str) -> dict[str, Any]:
    """Everything that is known of one reject.

    Args:
        lake: holds the reject.
        postgres_url: holds its replays.
        text: its coordinates (see `locate`).

    Returns:
        All columns by name, `state`, `hint`, `dead_letters` (where it is in the dead-letter
        topic) and `replays`.
    """
    at = locate(lake, text)
    choice = Choice(coordinates=(at,))
    (described,) = find_rejects(lake, postgres_url, choice).iter_rows(named=True)
    hour = described["event_hour"]
    (stored,) = (
        lake.open("telemetry_rejects").read(hour, where=choice.condition()).iter_rows(named=True)
    )
    published = lake.find("dlq_published")
    letters = (
        [] if published is None else published.read(hour, where=is_one_of((at,))).rows(named=True)
    )
    origin = Coordinates.parse(described["origin"]) or at
    return {
        "coordinates": str(at),
        "state": f"{described['state']}: {STATES[described['state']]}",
        **{name: stored[name] for name in ("reason", "detail")},
        "hint": HINTS.get(stored["reason"]),
        **{
            name: stored[name]
            for name in ("vehicle_id", "event_time", "append_time", "event_hour", "replay_of")
        },
        "dead_letters": ", ".join(
            f"{x['dlq_partition']}/{x['dlq_offset']} ({x['reason']})" for x in letters
        ),
        "key": stored["key"],
        "value": stored["value"],
        "replays": replays_of(postgres_url, origin),
    }


def _whereabouts(lake: Lake, same: pl.Expr) -> str:
    raw = lake.find("raw_telemetry")
    hours: list[str] = []
    if raw is not None:
        hours = raw.read(columns=["event_hour"], where=same)["event_hour"].to_list()
    if not hours:
        return ": no message with these coordinates has landed."
    return f": the message is in hour {hours[0]} and was accepted, repeats one, or is pending."


_STATE_SCHEMA: Final = {"origin": pl.String(), "accepted": pl.Boolean(), "outcome": pl.String()}


def _described(rows: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    named = rows.with_columns(coordinates=coordinates_text()).with_columns(
        origin=pl.coalesce("replay_of", "coordinates")
    )
    state = (
        pl.when(pl.col("replay_of").is_not_null())
        .then(pl.lit(REPLAY))
        .when(pl.col("accepted"))
        .then(pl.lit(RESOLVED))
        .when(pl.col("outcome").is_not_null())
        .then(pl.lit(REPLAYED))
        .otherwise(pl.lit(OPEN))
    )
    return (
        named.join(states, on="origin", how="left")
        .with_columns(state=state)
        .select(*SHOWN, *COORDINATES, "origin")
        .sort("append_time", "coordinates", descending=True)
    )
