"""Where messages go: a file or Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self


class Sink(Protocol):
    """Takes messages; leaving its context flushes what is under way."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...  # fmt: skip
    def send(self, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        """Send messages in this order."""
        ...

    @property
    def acknowledged(self) -> int:
        """Messages that have surely arrived."""
        ...


class FileSink:
    """One message a line, compressed where the name ends in ``.zst``; keys are not kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._file: Any = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.suffix == ".zst":
            import zstandard

            self._file = zstandard.open(self._path, "wb", cctx=zstandard.ZstdCompressor(level=3))
        else:
            self._file = self._path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._file.close()

    def send(self, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        """Append one line for each message."""
        if values:
            self._file.write(b"\n".join(values) + b"\n")
            self._count += len(values)

    @property
    def acknowledged(self) -> int:
        """Lines written."""
        return self._count
