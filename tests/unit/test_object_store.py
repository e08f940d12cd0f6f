"""Files of tables are written through delta-rs' own stores as they are to a disk."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.fs
from deltalake import DeltaTable

from fleet_assets.lake.files import Encodings, whole_or_gone, write_parquet
from fleet_assets.lake.object_store import ObjectStore


def test_parquet_is_written_whole_and_its_size_is_known(tmp_path: Path) -> None:
    rows = pl.DataFrame({"speed": range(1000)})
    delta = DeltaTable.create(str(tmp_path), rows.to_arrow().schema)
    store = pyarrow.fs.PyFileSystem(ObjectStore.from_table(delta._table))
    with whole_or_gone(store, "part.parquet") as out:
        write_parquet(rows.to_arrow(), out, Encodings())
        size = out.tell()
    written = tmp_path / "part.parquet"
    assert size == written.stat().st_size
    assert pl.read_parquet(written).equals(rows)
