"""How the data flows, as ``fleet status`` tells it: what has landed, what waits, what fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from fleet_assets.local.failing_checks import failing_checks
from fleet_assets.settings import Endpoints, Settings

if TYPE_CHECKING:
    from fleet_assets.lake.store import Lake

_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class FlowStatus:
    """The state of the data; empty where nothing has landed yet."""

    lag: dict[int, int] = field(default_factory=dict)
    """Messages in each Kafka partition that are not in the lake yet."""
    last_landed_offset: dict[int, int] = field(default_factory=dict)
    """Offset of the last message of each Kafka partition that is in the lake."""
    stale_hours: int = 0
    """Event hours with landed messages that are not in the derived tables yet."""
    unjudged_hours: int = 0
    """Event hours whose trips and anomalies are not up to date in lake and warehouse."""
    unwindowed_hours: int = 0
    """Event hours whose feature windows are not in line with telemetry and the rules' pins."""
    unscored_hours: int = 0
    """Event hours that are not judged from the windows that there are by the models that serve."""
    newest_event: str | None = None
    """Event time of the newest message in the lake, ISO 8601 in UTC."""
    newest_mart_row: str | None = None
    """Event time of the newest message that the marts show, ISO 8601 in UTC."""
    failing_checks: list[str] = field(default_factory=list)
    """Asset checks whose latest verdict is a failure, and hours that a stage cannot work."""


def flow_status(endpoints: Endpoints, settings: Settings | None = None) -> FlowStatus:
    """Gather the status from Kafka, the lake and the warehouse; all must be reachable."""
    from fleet_assets.flow import hour_progress
    from fleet_assets.kafka.topic import Broker, topic_exists, topic_state
    from fleet_assets.lake.feature_windows import hours_without_windows
    from fleet_assets.lake.landed import newest_event
    from fleet_assets.lake.landing import committed_offsets
    from fleet_assets.lake.store import Lake
    from fleet_assets.rule_flow import hours_behind

    settings = settings or Settings()
    lake = Lake(endpoints.lake_url)
    broker = Broker(endpoints.kafka_bootstrap_servers, settings.kafka_client_options())
    landed: dict[int, int] = {}
    lag: dict[int, int] = {}
    if topic_exists(broker, settings.topic):
        state = topic_state(broker, settings.topic)
        partitions = state.watermarks
        source = state.source
        landed = committed_offsets(
            endpoints.lake_url, source.cluster_id, source.topic_id, partitions
        )
        # what was never landed and has expired is nobody's lag; a log may end before what landed
        lag = {p: max(0, state.high[p] - landed.get(p, low)) for p, (low, _) in partitions.items()}
    newest = newest_event(lake)
    return FlowStatus(
        lag=lag,
        last_landed_offset={p: offset - 1 for p, offset in sorted(landed.items()) if offset > 0},
        stale_hours=sum(hour.stale for hour in hour_progress(lake, endpoints.postgres_url)),
        unjudged_hours=len(hours_behind(lake, endpoints.postgres_url, settings.late_interval)),
        unwindowed_hours=len(hours_without_windows(lake)),
        unscored_hours=_unscored_hours(lake, endpoints.postgres_url),
        newest_event=None if newest is None else newest.isoformat(),
        newest_mart_row=_newest_mart_row(endpoints.postgres_url),
        failing_checks=failing_checks(endpoints.postgres_url, settings),
    )


def _unscored_hours(lake: Lake, postgres_url: str) -> int:
    from fleet_assets.warehouse.model_audit import read_audit

    if not read_audit(postgres_url):  # no model serves: what models are made of need not be loaded
        return 0
    from fleet_assets.model_flow.book import model_book
    from fleet_assets.model_flow.scoring import scoring_work

    work = scoring_work(lake, postgres_url, model_book(lake, postgres_url))
    return len(work.hours) + len(work.waiting)


def _newest_mart_row(postgres_url: str) -> str | None:
    import psycopg

    with psycopg.connect(postgres_url, connect_timeout=_TIMEOUT_SECONDS) as connection:
        exists = connection.execute("SELECT to_regclass('marts.fct_vehicle_hours')").fetchone()
        if exists is None or exists[0] is None:
            return None
        found = connection.execute(
            "SELECT max(last_event_time) FROM marts.fct_vehicle_hours"
            " WHERE hour_start >= (SELECT max(hour_start) FROM marts.fct_vehicle_hours)"
        ).fetchone()
        return None if found is None or found[0] is None else found[0].astimezone(UTC).isoformat()
