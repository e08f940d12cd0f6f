"""The picture of drift shows the largest effects and the vehicles behind them."""

from __future__ import annotations

import base64

import numpy as np
import polars as pl
from drift_data import FEATURES, NOW, TRAINED, MadeFleet, shifted

from fleet_assets.model_choice.drift import DriftReport, drift
from fleet_assets.model_choice.drift_plot import drift_figure, drift_plot


def report() -> DriftReport:
    fleet = MadeFleet(1)
    trained = fleet.days(TRAINED, 30)
    fleet.add("van", 25, 2)
    now = shifted(fleet.days(NOW, 7), -3)
    return drift(trained, shifted(now, -6, pl.col("vehicle_type") == "suv"), FEATURES)


def test_it_shows_effects_and_vehicles() -> None:
    drifted = report()
    figure = drift_figure(drifted)
    effects, *panels = figure.get_axes()
    names = [label.get_text() for label in effects.get_yticklabels()]
    first = drifted.rows.row(0, named=True)
    assert names[0].startswith(f"{first['feature']}, {first['vehicle_type']}")
    assert len(names) == 16
    assert "coolant, suv" in names[: drifted.alarms.height]
    assert len(panels) == 4
    for axes in panels:
        assert axes.get_title(loc="left") in names[:4]
        is_new = "new" in axes.get_title(loc="left")
        then, now = [line.get_label() for line in axes.lines]
        assert (then, now) == (
            ("known, same days (40)", "new (25)") if is_new else ("in training (25)", "now (25)")
        )
    now = drifted.vehicles.filter(feature="coolant", vehicle_type="suv")["current"].sort()
    drawn = np.asarray(panels[0].lines[1].get_xdata())
    shift = first["season_shift"]
    assert shift < -2
    np.testing.assert_allclose(drawn[1:], now - shift)
    suptitle = figure._suptitle  # type: ignore[attr-defined]
    assert "To be trained anew: suv, van" in suptitle.get_text()


def test_it_is_a_png_even_where_nothing_was_tested() -> None:
    days = MadeFleet(1, {"van": 3}).days(TRAINED, 10)
    for each in (report(), drift(days, days, FEATURES)):
        head, _, body = drift_plot(each).partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(body).startswith(b"\x89PNG")
