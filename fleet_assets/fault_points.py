"""Named points at which a test can have the process killed, to prove that nothing depends on luck.

A point costs one dictionary look-up when nothing is set. `FLEET_FAULT_POINT=landing.committed:3`
kills the process (SIGKILL, as a power cut would) the third time it comes by.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "FLEET_FAULT_POINT"
_passed: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Dies here if the environment says so.

    Args:
        name: stage and moment, for example ``refresh.telemetry_committed``.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    point, _, times = wanted.partition(":")
    if point == name:
        _passed[name] += 1
        if _passed[name] >= int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)
