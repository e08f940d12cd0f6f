"""Real trips from Kafka to the marts: rows, conflicts, rebuilds, poison hours, canaries.

The tests follow one another on one lake, as each dbt run takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from installation import Installation
from platform_run import Message, PlatformRun, platform_run

from fleet_assets.fleet_sim.recording import read_lines
from fleet_assets.warehouse.vehicles import import_vehicles
from fleet_assets.warehouse.vehicles_csv import read_vehicles_csv

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DATA = Path(__file__).parents[3] / "shared" / "data"
TRIPS, VEHICLES = DATA / "real_trips.ndjson.zst", DATA / "real_vehicles.csv"
FIRST, LAST = "2019-05-09T14", "2019-05-09T18"
CONFLICT_HOUR = "2019-05-09T16"
MESSAGES = {"2019-05-09T14": 3600, "2019-05-09T15": 3600, CONFLICT_HOUR: 3916,
            "2019-05-09T17": 441, LAST: 3600}  # fmt: skip
CONFLICTS = 316
LINES_BEFORE = 451_703
