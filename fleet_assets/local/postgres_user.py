"""Who the embedded PostgreSQL runs as when root starts it: the server refuses to be root."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from fleet_assets.errors import FleetError
from fleet_assets.local.process import RunAs

_CANDIDATES = ("postgres", "nobody")
_NOBODY = 65534


def server_user(data: Path, programs: Path) -> RunAs | None:
    """The user to run as, or None to stay who we are.

    An existing data folder is run by its owner. A folder or a program that this user cannot
    reach, as one in root's home, is made reachable by leaving the server one of root's rights:
    to enter and read folders.

    Raises:
        FleetError: the folder belongs to somebody else, or cannot be reached on this system.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise FleetError(
                f"{data} belongs to user id {owner} (a start by root?): start as that user or "
                f"root, or set FLEET_HOME to a folder of your own."
            )
        return None
    uid, gid = _unprivileged(owner)
    reachable = all(_can_enter(path, uid, gid) for path in (data.parent, programs))
    if not reachable and sys.platform != "linux":
        raise FleetError(
            f"PostgreSQL cannot run as root, and user id {uid} cannot enter {data.parent}: start "
            "as an ordinary user, or set FLEET_HOME to a folder that others may enter."
        )
    return RunAs(uid, gid, keep_read=not reachable)


def _unprivileged(owner: int | None) -> tuple[int, int]:
    if owner:
        return owner, _group_of(owner)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry.pw_uid, entry.pw_gid
    return _NOBODY, _NOBODY


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid


def _can_enter(folder: Path, uid: int, gid: int) -> bool:
    for place in (folder, *folder.parents):
        status = place.stat()
        if status.st_uid == uid:
            bit = 0o100
        elif status.st_gid == gid:
            bit = 0o010
        else:
            bit = 0o001
        if not status.st_mode & bit:
            return False
    return True
