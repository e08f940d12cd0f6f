"""Partitioned tables are analysed as a whole, which autovacuum does not do."""

from __future__ import annotations

import psycopg
import pytest
from installation import Installation
from platform_run import wait_until
from warehouse_data import fresh_warehouse, query, vehicle_hours

from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.statistics import gather_statistics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
TABLE = "warehouse.vehicle_hours"
OF_ALL = """
select count(*) from pg_stats
where schemaname = 'warehouse' and tablename = 'vehicle_hours' and inherited
"""


def load(url: str, hour: str, vehicles: int) -> None:
    rows = vehicle_hours(*({"event_hour": hour, "vehicle_id": f"v{n}"} for n in range(vehicles)))
    replace_hours(url, {"vehicle_hours": rows}, [hour])


def counted(url: str, rows: int) -> bool:
    """The server's counters are told a moment after the commit."""
    asked = "select coalesce(sum(n_live_tup), 0) from pg_stat_all_tables where relname ~ %s"
    return query(url, asked, "^vehicle_hours_") == [(rows,)]


def test_a_table_is_analysed_once_it_has_grown_by_a_tenth(services: Installation) -> None:
    url = fresh_warehouse(services, "statistics")
    assert gather_statistics(url) == {}
    load(url, "2026-01-31T23", 100)
    load(url, "2026-02-01T00", 100)
    wait_until(lambda: counted(url, 200), 30)
    assert query(url, OF_ALL) == [(0,)]
    assert gather_statistics(url)[TABLE] == 200
    assert query(url, OF_ALL)[0][0] > 10
    assert TABLE not in gather_statistics(url)
    load(url, "2026-02-01T01", 15)
    wait_until(lambda: counted(url, 215), 30)
    assert TABLE not in gather_statistics(url)
    load(url, "2026-02-01T02", 10)
    wait_until(lambda: counted(url, 225), 30)
    with psycopg.connect(url) as other:
        other.execute(f"lock table {TABLE} in share update exclusive mode")
        assert TABLE not in gather_statistics(url), "somebody works on it"
    assert gather_statistics(url)[TABLE] == 225
