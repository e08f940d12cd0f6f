"""The ledger in the Dagster UI: an asset with its summary, metadata of each partition."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dagster import AssetMaterialization, AssetSpec, MetadataValue

from fleet_assets.assets.common import OWNERS, QUALITY, markdown_table, moment
from fleet_assets.lake.ledger import lake_ledger, ledger_snapshots
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.ledger_view import ledger_summary, partition_ledger
from fleet_assets.warehouse.revisions import Revision, first_shown, read_revisions

LEDGER = "partition_ledger"
_SHOWN_HOURS = 20

ledger_spec = AssetSpec(
    key=LEDGER,
    deps=["raw_telemetry", "telemetry", "vehicle_hours", "fct_vehicle_hours"],
    description="Per hour and table: newest input, processed up to, rows, files, bytes, state"
    " (fresh, stale, failed, gap), last run. The view warehouse.partition_ledger; `fleet ledger`"
    " prints it. Kept in step by the loads and every half minute by ledger_sensor.",
    group_name=QUALITY,
    owners=OWNERS,
    kinds={"postgres"},
)


def ledger_event(postgres_url: str) -> AssetMaterialization:
    """The ledger's summary, and the hours that are not fresh, for people."""
    summary = ledger_summary(postgres_url)
    rows = [[*row[:-2], moment(row[-2]), moment(row[-1])] for row in summary.iter_rows()]
    metadata: dict[str, Any] = {
        "summary": MetadataValue.md(markdown_table(summary.columns, rows)),
    }
    for state in ("failed", "gap", "stale"):
        found = partition_ledger(postgres_url, state=state)
        metadata[f"{state} partitions"] = MetadataValue.int(found.height)
        if found.height:
            last = found.tail(_SHOWN_HOURS)
            cells = [
                [hour, table, attempts, gap or detail or "–"]
                for hour, table, attempts, gap, detail in last.select(
                    "event_hour", "table_name", "attempts", "gap", "detail"
                ).iter_rows()
            ]
            header = ["hour", "table", "attempts", "why"]
            metadata[f"newest {state}"] = MetadataValue.md(markdown_table(header, cells))
    return AssetMaterialization(LEDGER, metadata=metadata)


def partition_metadata(
    lake: Lake, hours: Collection[str]
) -> dict[tuple[str, str], dict[str, MetadataValue[Any]]]:
    """Rows, files, bytes, newest input and how far it is processed, by hour and table."""
    if not hours:
        return {}
    rows = lake_ledger(ledger_snapshots(lake), hours).iter_rows(named=True)
    found = {(row["event_hour"], row["table_name"]): row for row in rows}
    newest = {
        hour: row["newest_input_at"]
        for (hour, table), row in found.items()
        if table == "raw_telemetry"
    }
    return {
        (hour, table): {
            "dagster/partition_row_count": MetadataValue.int(row["rows"]),
            "files": MetadataValue.int(row["files"]),
            "bytes": MetadataValue.int(row["bytes"]),
            "newest input": MetadataValue.text(moment(newest.get(hour))),
            "processed up to": MetadataValue.text(moment(row["processed_input_at"])),
        }
        for (hour, table), row in found.items()
    }


def revision_metadata(
    postgres_url: str, hours: Sequence[str]
) -> Mapping[str, dict[str, MetadataValue[Any]]]:
    """Per hour: when it was first shown, how often it was revised since, and by how much."""
    shown = first_shown(postgres_url, hours)
    revisions: dict[str, list[Revision]] = {hour: [] for hour in hours}
    for revision in read_revisions(postgres_url, hours):
        revisions[revision.event_hour].append(revision)
    metadata = {}
    for hour, known in revisions.items():
        metadata[hour] = {
            "first shown": MetadataValue.text(moment(shown.get(hour))),
            "revisions": MetadataValue.int(len(known)),
        }
        if known:
            metadata[hour]["last revised"] = MetadataValue.text(moment(known[-1].revised_at))
            metadata[hour]["late messages added"] = MetadataValue.int(
                sum(revision.late_added for revision in known)
            )
            metadata[hour]["newest revisions"] = MetadataValue.md(_told(known[-_SHOWN_HOURS:]))
    return metadata


def _told(revisions: Sequence[Revision]) -> str:
    header = ["no.", "revised", "cause", "messages", "accepted", "duplicate", "rejected", "rows"]
    return markdown_table(
        header,
        [
            [
                r.revision,
                moment(r.revised_at),
                r.cause,
                f"{r.messages_added:+,}",
                *(
                    f"{before:,} → {after:,}"
                    for before, after in (
                        (r.accepted_before, r.accepted_after),
                        (r.duplicate_before, r.duplicate_after),
                        (r.rejected_before, r.rejected_after),
                        (r.rows_before, r.rows_after),
                    )
                ),
            ]
            for r in revisions
        ],
    )
