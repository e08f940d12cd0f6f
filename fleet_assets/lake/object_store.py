"""Object stores as delta-rs knows them, for pyarrow."""

from __future__ import annotations

from typing import Any

import pyarrow
from deltalake.fs import DeltaStorageHandler


class ObjectStore(DeltaStorageHandler):
    """A folder in an object store.

    pyarrow hands over buffers, and delta-rs takes nothing but bytes: written through deltalake's
    own handler, every file fails.
    """

    def open_output_stream(
        self, path: str, metadata: dict[str, str] | None = None
    ) -> pyarrow.PythonFile:
        """A file to write, which is there once it is closed."""
        return pyarrow.PythonFile(_Bytes(self._handler.open_output_stream(path, metadata)))


class _Bytes:
    """A file of delta-rs that takes buffers, too."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        return int(self._file.write(bytes(data)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
