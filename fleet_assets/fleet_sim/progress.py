"""Shows how sending goes: messages, messages a second, time left."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self


class Progress:
    """A progress bar on a terminal; silent elsewhere.

    Args:
        label: what is being sent.
        total: messages expected; None: unknown.
        shown: False for no bar.
    """

    def __init__(self, label: str, total: int | None, *, shown: bool = True) -> None:
        self._label, self._total, self._shown = label, total, shown
        self._bar: Any = None
        self._task: Any = None
        self._began = time.monotonic()
        self.count = 0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            console = Console(stderr=True)
            if console.is_terminal:
                self._bar = Bar(
                    TextColumn("{task.description}"), BarColumn(),
                    TextColumn("{task.completed:,} messages · {task.fields[rate]:,.0f}/s"),
                    TimeRemainingColumn(), console=console, refresh_per_second=4,
                )  # fmt: skip
                self._bar.start()
                self._task = self._bar.add_task(self._label, total=self._total, rate=0.0)
        return self

    def advance(self, count: int) -> None:
        """So many more messages were sent."""
        self.count += count
        if self._bar is not None:
            self._bar.update(self._task, advance=count, rate=self.rate)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return max(time.monotonic() - self._began, 1e-9)

    @property
    def rate(self) -> float:
        """Messages a second since the start."""
        return self.count / self.seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._bar is not None:
            self._bar.stop()
