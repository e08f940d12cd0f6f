"""Numbers of a frame as models take them."""

from __future__ import annotations

import numpy as np
import polars as pl

from fleet_assets.models.frame import matrix


def test_nulls_are_no_numbers_whatever_the_type_of_the_column() -> None:
    frame = pl.DataFrame(
        {"a": [1.5, None, float("nan")], "b": [1, None, 3], "c": [0.1, 0.2, 0.3]},
        schema={"a": pl.Float64, "b": pl.Int64, "c": pl.Float32},
    )
    found = matrix(frame, ["c", "a", "b"])
    nan = np.nan
    wanted = np.array([[0.1, 1.5, 1], [0.2, nan, nan], [0.3, nan, 3]], np.float32)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.float32


def test_pieces_of_a_column_come_in_order() -> None:
    parts = [pl.DataFrame({"a": [1.0, None]}), pl.DataFrame({"a": [None, 4.0]})]
    found = matrix(pl.concat(parts, rechunk=False), ["a"])
    np.testing.assert_array_equal(found[:, 0], np.array([1, np.nan, np.nan, 4], np.float32))
