"""Log files of the children: FLEET_HOME/logs/<name>.log, bounded in size.

A child writes straight into its file, opened for appending; the supervisor copies a file that has
grown too large aside and truncates it. No pipe stands between them: a pipe's reader dies with the
supervisor, and the children would block or fail on it before they are told to stop.
"""

from __future__ import annotations

import shutil
from collections import deque
from pathlib import Path

MAX_BYTES = 16 * 1024**2
KEPT = 2


def log_path(home: Path, name: str) -> Path:
    """Where the output of the child ``name`` goes."""
    return home / "logs" / f"{name}.log"


def rotate_if_large(path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
    """Move the content of a log that exceeds ``max_bytes`` to ``path.1`` (then ``.2``, …)."""
    if not path.exists() or path.stat().st_size <= max_bytes:
        return
    for number in range(kept, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    with path.open("r+b") as log:
        log.truncate(0)


def last_words(path: Path, longest: int = 300) -> str:
    """The last line of a log that holds text, cut to a length that fits an error message."""
    if not path.exists():
        return ""
    with path.open(errors="replace") as log:
        words = deque((line.strip() for line in log if line.strip()), maxlen=1)
    return words[0][:longest] if words else ""
