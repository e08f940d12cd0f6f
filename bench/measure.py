"""Work in a process of its own, with its time and its memory."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Measured = tuple[float, float, int]
"""Seconds by the clock, seconds of CPU, most memory of the process in bytes."""


def alone(work: Callable[..., T], *arguments: object) -> T:
    """Does the work in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measured(work: Callable[[], object]) -> Measured:
    """What the work takes; the memory is that of the process since its start."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return (
        time.perf_counter() - started,
        time.process_time() - cpu,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
