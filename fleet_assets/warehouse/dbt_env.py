"""What dbt needs to be told: the warehouse's address, and the windows to rebuild.

dbt cannot read an address, so the profile takes its parts from the environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from fleet_assets.warehouse.connection import plain_url
from fleet_assets.warehouse.mart_marks import Topic
from partitions.hours import windows

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
MOST_WINDOWS = 500  # the longest variable that Linux passes on is 128 KiB, each window has 50 B
MOST_WINDOWS_BY_TOPIC = 300


def dbt_environment(postgres_url: str, state_dir: Path | None = None) -> dict[str, str]:
    """Environment variables for dbt: where to connect, and no calls home.

    Args:
        postgres_url: the warehouse.
        state_dir: folder for dbt's logs and compiled files; None: inside the project.
    """
    known = conninfo_to_dict(plain_url(postgres_url))
    environment = {
        "FLEET_DBT_HOST": str(known.get("host") or "localhost"),
        "FLEET_DBT_PORT": str(known.get("port") or 5432),
        "FLEET_DBT_USER": str(known.get("user") or ""),
        "FLEET_DBT_PASSWORD": str(known.get("password") or ""),
        "FLEET_DBT_DATABASE": str(known.get("dbname") or known.get("user") or ""),
        "FLEET_DBT_SSLMODE": str(known.get("sslmode") or "prefer"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
    }
    if state_dir is not None:
        environment["DBT_TARGET_PATH"] = str(state_dir / "target")
        environment["DBT_LOG_PATH"] = str(state_dir / "logs")
    return environment


def touched_environment(hours: Iterable[str] | None) -> dict[str, str]:
    """Environment variable that makes dbt rebuild exactly what these hours touch; None: all.

    It does what ``--vars`` with `touched_vars` does, without the seconds that dbt takes to parse
    the project anew whenever its vars change. Set it for a rebuild of everything too, lest one
    that is left from another run counts.
    """
    if hours is None:
        return {"FLEET_DBT_TOUCHED_HOURS": "null"}
    return {"FLEET_DBT_TOUCHED_HOURS": json.dumps(_pairs(hours))}


def marked_environment(hours: Mapping[Topic, Iterable[str]] | None) -> dict[str, str]:
    """Environment variable that makes dbt rebuild what follows trips and findings.

    Args:
        hours: touched hours by topic (``mart_marks.py``); None: all of each.
    """
    if hours is None:
        return {"FLEET_DBT_MARKED_HOURS": "null"}
    pairs = {topic: _pairs(some, MOST_WINDOWS_BY_TOPIC) for topic, some in hours.items()}
    return {"FLEET_DBT_MARKED_HOURS": json.dumps(pairs)}


def touched_vars(hours: Iterable[str]) -> str:
    """The same as an argument of dbt's ``--vars``.

    >>> touched_vars(["2026-01-01T05", "2026-01-01T06"])
    '{"touched_hours": [["2026-01-01T05:00:00Z", "2026-01-01T07:00:00Z"]]}'
    """
    return json.dumps({"touched_hours": _pairs(hours)})


def _pairs(hours: Iterable[str], most: int = MOST_WINDOWS) -> list[list[str]]:
    found = windows(hours)
    if len(found) > most:  # one that covers them all: more work, the same marts
        found = [(found[0][0], found[-1][1])]
    return [[start.strftime(TIME_FORMAT), end.strftime(TIME_FORMAT)] for start, end in found]
