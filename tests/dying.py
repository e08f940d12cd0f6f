"""A process that dies at a fault point, played in the test's own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from fleet_assets import fault_points


class Died(BaseException):
    """Stands for the death of the process: no ``except Exception`` catches it."""


@contextmanager
def dying_at(point: str) -> Iterator[list[str]]:
    """The work in the block ends at this fault point, if it comes by.

    Yields:
        A list that holds the point once the work has died there.
    """
    died: list[str] = []

    def die(*_: Any) -> None:
        died.append(point)
        raise Died

    fault_points._passed.clear()
    environment = {fault_points.VARIABLE: point}
    with mock.patch.dict(os.environ, environment), mock.patch("os.kill", die):
        try:
            yield died
        except Died:
            return
