"""The picture of a fault shows what was sent and what would have been."""

from __future__ import annotations

import base64

import numpy as np
import polars as pl
import pytest
from injection_data import healthy

from fleet_assets.injection.catalogue import KINDS
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.injection.plot import fault_figure, fault_plot
from fleet_assets.injection.signals import signals_of


@pytest.mark.parametrize("kind", KINDS)
def test_each_signal_is_drawn_healthy_and_faulty(kind: str) -> None:
    telemetry = healthy(minutes=170)
    after, truth = inject(telemetry, plan(telemetry, 1, Chosen([kind], untouched=0)))
    fault = truth.row(0, named=True)
    names = signals_of(fault["signal"])
    figure = fault_figure(telemetry, after, fault)
    assert len(figure.axes) == len(names) + 1
    span = pl.col("event_time").is_between(fault["started_at"], fault["ended_at"])
    for axes, name in zip(figure.axes, names, strict=False):
        for line, rows in zip(axes.lines, (telemetry, after), strict=True):
            drawn = np.asarray(line.get_ydata(), dtype=float)
            sent = rows.filter(span)[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            at = int(np.searchsorted(np.asarray(line.get_xdata()), fault["started_at"]))
            np.testing.assert_array_equal(drawn[at : at + len(sent)], sent)
            assert len(drawn) > len(sent) + 100


def test_it_is_a_png() -> None:
    telemetry = healthy(signals=["coolant_temp", "engine_rpm"])
    only = Chosen(["thermostat"], untouched=0)
    after, truth = inject(telemetry, plan(telemetry, 2, only))
    head, _, body = fault_plot(telemetry, after, truth.row(0, named=True)).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body).startswith(b"\x89PNG")
