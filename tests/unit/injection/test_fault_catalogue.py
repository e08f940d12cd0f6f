"""The catalogue of faults: mistakes are named, its page is current, clear is as was agreed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet_assets.errors import FleetError
from fleet_assets.injection.catalogue import CATALOGUE, read_catalogue
from fleet_assets.injection.document import REGENERATE, faults_page

Change = Callable[[dict[str, Any]], object]


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "faults.md"
    assert page.read_text(encoding="utf-8") == faults_page(read_catalogue()), REGENERATE


def test_what_is_clear_is_what_models_have_to_find() -> None:
    clear = {
        (kind.kind, subject, group.clear_from, group.unit)
        for kind in read_catalogue().kinds
        for group in kind.applies_to
        for subject in group.signals
        if group.clear_from is not None and kind.kind not in ("stuck", "dropout")
    }
    assert clear == {
        ("bias", "engine_rpm", 20, "%"),
        ("bias", "speed", 20, "%"),
        ("scale", "engine_rpm", 20, "%"),
        ("scale", "speed", 20, "%"),
        ("bias", "coolant_temp", 15, "°C"),
        ("drift", "coolant_temp", 15, "°C"),
        ("thermostat", "coolant_temp", 15, "°C"),
        ("gps_jump", "gps", 500, "m"),
    }
    catalogue = read_catalogue()
    assert {g.clear_from for g in catalogue.of("stuck").applies_to} == {60, None}
    assert catalogue.of("stuck").where == "driving"
    assert {g.clear_from for g in catalogue.of("dropout").applies_to} == {30}


def test_ranges_reach_from_below_clear_to_beyond_it() -> None:
    for kind in read_catalogue().kinds:
        for group in kind.applies_to:
            found = kind.magnitude_range(group.signals[0])
            if group.clear_from is not None and found is not None:
                assert found[0] < group.clear_from / 2
                assert found[1] > group.clear_from * 2


def kind(given: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in given["kinds"] if found["kind"] == name)


def group(given: dict[str, Any], name: str) -> dict[str, Any]:
    return kind(given, name)["applies_to"][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: kind(c, "bias").update(kind="odd"), r"kinds\.odd\.kind: is none of bias"),
        (lambda c: kind(c, "bias").pop("family"), r"kinds\.bias\.family: Field required"),
        (lambda c: group(c, "bias").update(signals=["rpm"]), "rpm is no number that vehicles"),
        (lambda c: group(c, "bias").update(least=99), r"kinds\.bias: engine_rpm: least is not"),
        (lambda c: group(c, "bias").pop("most"), "engine_rpm needs least and most"),
        (lambda c: group(c, "stuck").update(least=1), "engine_rpm needs neither"),
        (lambda c: kind(c, "bias").update(duration_s=[9, 3]), "the lower one first"),
        (lambda c: c["kinds"].append(kind(c, "bias")), "bias is there twice"),
        (lambda c: c.update(held_out="odd"), "held_out: odd is none of offset"),
        (lambda c: c["shows_while"].pop("gps"), "shows_while says nothing of gps"),
        (lambda c: c.update(margin_s=30), "delay: values come from before the margin"),
        (lambda c: c["steps"].update(speed=[0.1, 1]), "speed: give positive steps, the coarsest"),
        (lambda c: c["steps"].update(rpm=[1]), "rpm is no signal"),
        (lambda c: kind(c, "bias")["applies_to"].append(group(c, "bias")), "is there twice"),
    ],
)
def test_mistakes_are_named(change: Change, told: str, tmp_path: Path) -> None:
    given = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    change(given)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    with pytest.raises(FleetError, match=rf"wrong\.yaml: .*{told}"):
        read_catalogue(wrong)


def test_what_is_no_catalogue_is_said(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot be read"):
        read_catalogue(tmp_path / "none.yaml")
    odd = tmp_path / "odd.yaml"
    odd.write_text("a: [")
    with pytest.raises(FleetError, match="is not YAML"):
        read_catalogue(odd)
