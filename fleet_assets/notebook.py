"""The lake in one line, for notebooks and scripts.

from fleet_assets.notebook import connect
db = connect()
db.sql("SELECT max(speed) FROM telemetry WHERE vehicle_id = 'truck-1'").pl()
"""

from __future__ import annotations

from fleet_assets.lake.sql import LakeDatabase
from fleet_assets.lake.store import Lake


def connect(lake_url: str | None = None) -> LakeDatabase:
    """Opens the lake for SQL, for as long as wanted; nothing in it is ever changed.

    Args:
        lake_url: root of the lake, a folder or an object-store address; the one of the settings
            (FLEET_LAKE_URL, else FLEET_HOME/lake) if not given.
    """
    if lake_url is None:
        from fleet_assets.settings import Settings

        lake_url = Settings().lake_root
    return LakeDatabase(Lake(lake_url))
