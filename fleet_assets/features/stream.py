"""Feature windows of messages that come batch by batch: the same rows as one pass over all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.features.blocks import CONTEXT
from fleet_assets.features.catalogue import FeatureCatalogue
from fleet_assets.features.kernel import (
    RAW_SIGNALS,
    STEP,
    TIME,
    feature_windows,
    windows_schema,
)

_NEEDED: Final = ["vehicle_id", "event_time", "conflict", "null_signals", *RAW_SIGNALS]


class FeatureStream:
    """Carries the trailing messages of each vehicle that its next window may look at.

    A window is closed by the first message of its vehicle that is not in it any more, or by
    `close`. Each vehicle's messages have to come in order of time.
    """

    def __init__(
        self,
        *,
        step: timedelta = STEP,
        usual_intervals: Mapping[str, float] | None = None,
        catalogue: FeatureCatalogue | None = None,
    ) -> None:
        """Starts with nothing; what is given is what `feature_windows` takes."""
        self._step = step
        self._usual = usual_intervals
        self._catalogue = catalogue
        self._carried: pl.DataFrame | None = None
        self._open: pl.DataFrame = pl.DataFrame(
            schema={"vehicle_id": pl.String(), "open_from": TIME}
        )

    @property
    def carried_rows(self) -> int:
        """Messages that are kept."""
        return 0 if self._carried is None else self._carried.height

    def push(self, messages: pl.DataFrame) -> pl.DataFrame:
        """Takes messages, in any order within the batch.

        Args:
            messages: rows as `feature_windows` takes them.

        Returns:
            The windows that they close.

        Raises:
            FleetError: a message belongs to a window that is closed.
        """
        came = messages.select(_NEEDED)
        self._refuse_late(came)
        newest = came.group_by("vehicle_id").agg(until=self._step_of(pl.col("event_time").max()))
        rows = came if self._carried is None else pl.concat([self._carried, came])
        return self._closed(rows, newest)

    def close(self, until: datetime | None = None) -> pl.DataFrame:
        """Closes windows for which no message has to be awaited any more.

        Args:
            until: those that end by then; older messages are refused from now on, and those that no
                window can look at any more are forgotten. None: all windows.
        """
        if self._carried is None:
            return windows_schema(self._catalogue).to_frame()
        if until is None:
            end = self._step_of(pl.col("event_time").max()) + self._step
            ends = self._carried.group_by("vehicle_id").agg(until=end)
        else:
            end = self._step_of(pl.lit(until, dtype=TIME))
            ends = self._open.select("vehicle_id", until=end)
        return self._closed(self._carried, ends)

    def _closed(self, rows: pl.DataFrame, until: pl.DataFrame) -> pl.DataFrame:
        """Windows of some vehicles that end by a moment and are still open; the rest is carried."""
        ends = until.join(self._open, on="vehicle_id", how="left").filter(
            pl.col("open_from").is_null() | (pl.col("until") > pl.col("open_from"))
        )
        mine = rows.join(ends, on="vehicle_id", how="semi")
        is_known = ends["open_from"].null_count() == 0
        found = feature_windows(
            mine,
            step=self._step,
            first_step=ends["open_from"].min() if is_known else None,  # type: ignore[arg-type]
            usual_intervals=self._usual,
            catalogue=self._catalogue,
        )
        new = (
            found.join(ends, on="vehicle_id", maintain_order="left")
            .filter(
                pl.col("window_end") <= pl.col("until"),
                pl.col("open_from").is_null() | (pl.col("window_end") > pl.col("open_from")),
            )
            .select(found.columns)
        )
        self._open = self._open.update(
            ends.select("vehicle_id", open_from="until"), on="vehicle_id", how="full"
        )
        self._carried = (
            rows.join(self._open, on="vehicle_id", how="left")
            .filter(
                pl.col("open_from").is_null()
                | (pl.col("event_time") >= pl.col("open_from") - CONTEXT)
            )
            .select(_NEEDED)
        )
        return new

    def _refuse_late(self, came: pl.DataFrame) -> None:
        late = came.join(self._open, on="vehicle_id").filter(
            pl.col("event_time") < pl.col("open_from")
        )
        if late.height:
            first = late.row(0, named=True)
            raise FleetError(
                f"{late.height} messages belong to closed windows, such as one of"
                f" {first['vehicle_id']} at {first['event_time']:%Y-%m-%d %H:%M:%S} UTC: give each"
                " vehicle's messages in order."
            )

    def _step_of(self, when: pl.Expr) -> pl.Expr:
        """The last boundary of steps up to a moment."""
        micros = self._step // timedelta(microseconds=1)
        whole = when.dt.epoch("us") // micros * micros
        return whole.cast(TIME)
