"""A place to try models in: the running platform, or a small one of one's own that vanishes.

What belongs here: finding or making a lake and a warehouse for a notebook. Nothing of the platform
uses it.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Final

from fleet_assets.errors import NotRunningError
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.training_sets import SetSettings
from fleet_assets.settings import Settings, service_address

VEHICLES: Final = 6
DAYS: Final = 30
HOURS_OF_DAY: Final = (13, 14)
INTERVAL_MS: Final = 2000
SMALL_SET: Final = SetSettings(
    hours=24, hours_of_vehicle=(3, 4), faulty_hours=40, passes=(2, 1), virtual_each=1
)
"""A training set that takes seconds; the defaults are for a fleet."""


@dataclass(frozen=True)
class Place:
    """Where a notebook works.

    Attributes:
        lake: the lake.
        postgres_url: the warehouse.
        now: the moment that comparisons count as made at: of simulated days, the end.
        is_sandbox: made for this process; it is gone when the process ends.
    """

    lake: Lake
    postgres_url: str
    now: datetime
    is_sandbox: bool


def here(report: Callable[[str], None] = print) -> Place:
    """The platform that runs or is set (FLEET_LAKE_URL, FLEET_POSTGRES_URL), else a sandbox.

    Args:
        report: is told what is being done.

    Raises:
        FleetError: the sandbox's PostgreSQL does not start.
    """
    settings = Settings()
    try:
        url = service_address("postgres_url", settings)
    except NotRunningError:
        if settings.lake_url:
            raise
        return sandbox(report)
    report(f"The platform with the lake {settings.lake_root}")
    return Place(Lake(settings.lake_root), url, datetime.now(UTC), is_sandbox=False)


def sandbox(report: Callable[[str], None] = print) -> Place:
    """A month of a small simulated fleet, and a warehouse that knows its vehicles."""
    from fleet_assets.fleet_sim.to_lake import simulated_lake

    home = Path(tempfile.mkdtemp(prefix="fleet-sandbox-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    report(f"Nothing runs: a sandbox in {home}, for this process alone")
    url = _warehouse(home, report)
    today = datetime.combine(datetime.now(UTC).date(), clock(), UTC)
    lake = Lake(str(home / "lake"))
    report(f"{VEHICLES} simulated vehicles, {DAYS} days")
    simulated_lake(
        lake, VEHICLES, DAYS, start=today - timedelta(days=DAYS), hours_of_day=HOURS_OF_DAY,
        interval_ms=INTERVAL_MS,
    )  # fmt: skip
    return Place(lake, url, today, is_sandbox=True)


def _warehouse(home: Path, report: Callable[[str], None]) -> str:
    """Address of a PostgreSQL of its own, which ends with this process."""
    from fleet_assets.fleet_sim.fleet import Fleet
    from fleet_assets.local.databases import ensure_database
    from fleet_assets.local.ports import free_port
    from fleet_assets.local.postgres import embedded_postgres
    from fleet_assets.local.process import Child
    from fleet_assets.local.supervisor import POLL_SECONDS, require_progress
    from fleet_assets.warehouse.migrate import upgrade
    from fleet_assets.warehouse.vehicle import Vehicle
    from fleet_assets.warehouse.vehicles import import_vehicles

    service = embedded_postgres(Settings(home=home, postgres_port=free_port()), home, report)
    child = Child(service, home)
    atexit.register(child.stop)
    while not service.ready():
        require_progress(child, service, home)
        time.sleep(POLL_SECONDS)
    ensure_database(service.url)
    upgrade(service.url)
    rows = [Vehicle(**row) for row in Fleet(VEHICLES, 1, "SIM").rows]
    import_vehicles(service.url, rows, source="sandbox")
    return service.url
