"""The catalogue of features: all are there, mistakes are named, its page is current."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fleet_assets.commands.features import features as app
from fleet_assets.errors import FleetError
from fleet_assets.features.catalogue import CATALOGUE, read_features
from fleet_assets.features.document import REGENERATE, features_page
from fleet_assets.features.kernel import RAW_SIGNALS
from fleet_assets.features.measures import MEASURES

Change = Callable[[dict[str, Any]], object]
PAGE = Path(__file__).parents[3] / "docs" / "features.md"


def test_there_are_48_over_three_horizons() -> None:
    found = read_features()
    assert len(set(found.names)) == 48
    assert {feature.horizon_s for feature in found.features} == {10, 60, 300}


def test_every_measure_is_known_and_used() -> None:
    assert {f.measure for f in read_features().features if f.measure} == set(MEASURES)


def test_the_kernel_reads_the_signals_that_features_need() -> None:
    needed = {name for feature in read_features().features for name in feature.signals}
    assert needed == set(RAW_SIGNALS)


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == features_page(read_features()), REGENERATE


def first(given: dict[str, Any]) -> dict[str, Any]:
    return next(f for f in given["features"] if f["name"] == "rpm_mean_10s")


def score(given: dict[str, Any]) -> dict[str, Any]:
    return next(f for f in given["features"] if f["name"] == "rpm_mean_60s_z_type")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda g: first(g).update(signals=["engine_torque"]), "rpm_mean_10s: no signal engine_t"),
        (lambda g: first(g).update(horizon_s=20), r"rpm_mean_10s\.horizon_s"),
        (lambda g: first(g).update(horizon_s=60), "the name tells the horizon"),
        (lambda g: first(g).update(colour="red"), r"rpm_mean_10s\.colour"),
        (lambda g: first(g).pop("measure"), "give `measure`"),
        (lambda g: first(g).update(null_policy=""), r"rpm_mean_10s\.null_policy"),
        (lambda g: score(g).pop("against"), "go together"),
        (lambda g: score(g).update(of="rpm_std_60s"), "rpm_std_60s is no feature with a least"),
        (lambda g: g["features"].pop(), "47 features, not 48"),
        (lambda g: g["features"].__setitem__(1, first(g)), "rpm_mean_10s is there twice"),
        (lambda g: g["numbers"]["most_gap_s"].update(value=70), "come to more than"),
        (lambda g: g["numbers"].pop("most_gap_s"), "numbers lack most_gap_s"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: Change, says: str) -> None:
    given = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    change(given)
    path = tmp_path / "features.yaml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(FleetError, match=says):
        read_features(path)


@pytest.mark.parametrize(("text", "says"), [(None, "cannot be read"), ("a: [", "is not YAML")])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "features.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FleetError, match=says):
        read_features(path)


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_shows_all_or_a_group() -> None:
    assert len(json.loads(said("list", "--json"))) == 48
    assert {f["group"] for f in json.loads(said("list", "--json", "--group", "slope"))} == {"slope"}
    assert "rpm_mean_10s" in said("list")


def test_a_feature_is_shown_with_all_that_it_means() -> None:
    text = said("show", "IDLE_share_300s")
    for part in ("stands", "300 s", "engine_rpm, speed", "share"):
        assert part in text


def test_the_page_can_be_checked_and_written(tmp_path: Path) -> None:
    page = tmp_path / "features.md"
    with pytest.raises(FleetError, match="is not current"):
        said("docs", "--check", "--output", str(page))
    said("docs", "--output", str(page))
    assert "is current" in said("docs", "--check", "--output", str(page))
    assert said("docs") == page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "cause"),
    [(["show", "torque"], "no feature torque"), (["list", "--group", "x"], "no group of features")],
)
def test_what_is_not_there_is_said(words: list[str], cause: str) -> None:
    with pytest.raises(FleetError, match=cause):
        said(*words)
