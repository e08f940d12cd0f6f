"""Erasing one vehicle or one driver: lake, archive, what was restored, warehouse, marts, Kafka.

Each place is searched again afterwards, so the report tells what is left. Killed at any point, it
may be done again. The record says how many rows went where, by whose order and by which request,
not who it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fleet_assets.errors import FleetError
from fleet_assets.kafka.forget import ends_of, forget_before, to_forget
from fleet_assets.kafka.topic import Broker, topic_state
from fleet_assets.lake.archive import Archive
from fleet_assets.lake.erase import Erased, erase, forget_files, mentions, vehicles_of
from fleet_assets.lake.erase_archive import erase_archived
from fleet_assets.lake.landing import heal, next_offsets
from fleet_assets.lake.restored import restored_lake
from fleet_assets.lake.store import Lake
from fleet_assets.retention.subject import Subject
from fleet_assets.warehouse.erase import RowsErased, erase_rows, leftovers
from fleet_assets.warehouse.legal_holds import held_vehicles
from fleet_assets.warehouse.retention_actions import Place, RetentionAction, note_actions
from fleet_assets.warehouse.turns import alone


@dataclass(frozen=True)
class Topics:
    """The topics that may name somebody.

    Attributes:
        telemetry: what vehicles send: deleted up to what has landed.
        copies: topics of copies (dead letters, anomalies): deleted whole, the lake has them.
    """

    telemetry: str
    copies: Sequence[str]


@dataclass
class ErasureReport:
    """What went, or would go.

    Attributes:
        rows: place and table → rows about him (of Kafka: topic → offsets, those of others too).
        left: what is still there, in words.
    """

    rows: dict[tuple[Place, str], int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    files: int = 0

    def lines(self, *, dry_run: bool = False) -> list[str]:
        """In words, table by table."""
        verb = "would go" if dry_run else "went"
        lines = []
        for (place, table), rows in self.rows.items():
            what = "offsets, those of others too," if place == "kafka" else "rows"
            lines.append(f"{place} {table}: {rows:,} {what} {verb}")
        if self.files:
            lines.append(f"{self.files:,} files of replaced rows deleted")
        lines += [f"LEFT: {text}" for text in self.left]
        return lines or ["Nothing is known of him."]


def erase_subject(
    lake: Lake,
    postgres_url: str,
    archive: Archive,
    broker: Broker | None,
    topics: Topics,
    subject: Subject,
    by: str,
    *,
    reference: str | None = None,
    dry_run: bool = False,
) -> ErasureReport:
    """Removes somebody from everywhere.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        archive: the archive.
        broker: Kafka; None: it is left to its own retention.
        topics: the topics.
        subject: who.
        by: who asks, for the record.
        reference: of the request, for the record; nothing that names the subject.
        dry_run: say what would go and change nothing.

    Raises:
        FleetError: a legal hold forbids it.
    """
    if not subject.id.strip():
        raise FleetError("An erasure needs an id.")
    if reference is not None and subject.id in reference:
        raise FleetError("The reference is kept: it may not name who is erased.")
    _refuse_held(lake, postgres_url, subject)
    report = ErasureReport()
    if dry_run:
        _tell(lake, postgres_url, archive, broker, topics, subject, report)
        return report
    with alone(postgres_url):
        _erase(lake, postgres_url, archive, broker, topics, subject, report)
    note_actions(
        postgres_url,
        [
            RetentionAction("erase", place, table, rows, reference=reference)
            for (place, table), rows in report.rows.items()
        ],
        by,
    )
    return report


def _refuse_held(lake: Lake, postgres_url: str, subject: Subject) -> None:
    held = held_vehicles(postgres_url)
    if not held:
        return
    found = sorted(held & vehicles_of(lake, subject))
    if found:
        raise FleetError(
            f"{', '.join(found)} is under a legal hold: nothing is erased. See `fleet retention"
            " hold list`"
        )


def _tell(
    lake: Lake,
    postgres_url: str,
    archive: Archive,
    broker: Broker | None,
    topics: Topics,
    subject: Subject,
    report: ErasureReport,
) -> None:
    _add(report, "lake", mentions(lake, subject))
    _add(report, "restored", mentions(restored_lake(lake), subject))
    _add(report, "archive", erase_archived(lake, archive, subject, dry_run=True))
    _add_rows(report, erase_rows(postgres_url, subject, dry_run=True))
    if broker is not None:
        for topic, upto in _offsets(lake, broker, topics).items():
            offsets = sum(end - low for low, end in to_forget(broker, topic, upto).values())
            if offsets:
                report.rows["kafka", topic] = offsets


def _erase(
    lake: Lake,
    postgres_url: str,
    archive: Archive,
    broker: Broker | None,
    topics: Topics,
    subject: Subject,
    report: ErasureReport,
) -> None:
    heal(lake)  # its note stands in the log, which is about to be cut
    _add(report, "lake", erase(lake, subject))
    beside = restored_lake(lake)
    _add(report, "restored", erase(beside, subject, counted=False))
    report.files = forget_files(lake) + forget_files(beside)
    _add(report, "archive", erase_archived(lake, archive, subject))
    _add_rows(report, erase_rows(postgres_url, subject))
    if broker is not None:
        for topic, upto in _offsets(lake, broker, topics).items():
            if offsets := forget_before(broker, topic, upto):
                report.rows["kafka", topic] = offsets
    for it in mentions(lake, subject):
        report.left.append(f"lake {it.table} {it.key}: {it.rows:,} rows: run it again")
    for it in erase_archived(lake, archive, subject, dry_run=True):
        report.left.append(f"archive {it.table} {it.key}: {it.rows:,} rows: run it again")
    for column, rows in leftovers(postgres_url, subject).items():
        report.left.append(f"{column}: {rows:,} rows hold the id: look at them by hand")


def _offsets(lake: Lake, broker: Broker, topics: Topics) -> Mapping[str, Mapping[int, int]]:
    """Up to which offsets the topics may forget without loss to the platform."""
    state = topic_state(broker, topics.telemetry)
    raw = lake.find("raw_telemetry")
    landed = {} if raw is None else next_offsets(raw, state.source, state.watermarks)
    return {topics.telemetry: landed} | {topic: ends_of(broker, topic) for topic in topics.copies}


def _add(report: ErasureReport, place: Place, found: Iterable[Erased]) -> None:
    for it in found:
        if it.kept_because is not None:
            report.left.append(f"{place} {it.table} {it.key}: {it.kept_because}: run it again")
        elif it.rows:
            report.rows[place, it.table] = report.rows.get((place, it.table), 0) + it.rows


def _add_rows(report: ErasureReport, found: Iterable[RowsErased]) -> None:
    for it in found:
        report.rows["marts" if it.schema == "marts" else "warehouse", it.table] = it.rows
