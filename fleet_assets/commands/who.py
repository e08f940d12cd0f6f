"""Who gives a command, for what is kept of it."""

from __future__ import annotations

import getpass
import socket


def who() -> str:
    """User and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
