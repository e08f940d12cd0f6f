"""Models as files of the lake: by the hash of what they are; what is damaged does not serve."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.model_store import load_model, model_file, read_card, save_model
from tests.small_model import small_model

CARD = {"recipe": {"seed": 1}, "limits": ["faults are injected"]}


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(str(tmp_path))


def test_what_is_saved_is_loaded_by_the_hash_of_its_file(artifacts: Artifacts) -> None:
    model = small_model()
    version_id = save_model(artifacts, model, CARD)
    assert version_id.startswith("fm-")
    assert artifacts.names("models") == [f"models/{version_id}.zip"]
    loaded, card = load_model(artifacts, version_id)
    assert card == CARD
    assert loaded.types == model.types
    assert loaded.own.threshold == model.own.threshold
    again, _ = load_model(artifacts, version_id)
    assert again is loaded, "read once"


def test_the_same_model_is_one_version_and_another_one_is_another(artifacts: Artifacts) -> None:
    model = small_model()
    assert save_model(artifacts, model, CARD) == save_model(artifacts, model, CARD)
    quieter = dataclasses.replace(model, types={"T-1": "van"})
    assert save_model(artifacts, quieter, CARD) != save_model(artifacts, model, CARD)
    assert len(artifacts.names("models")) == 2


def test_what_a_caller_does_to_a_card_stays_with_the_caller(artifacts: Artifacts) -> None:
    version_id = save_model(artifacts, small_model(), CARD)
    load_model(artifacts, version_id)[1].clear()
    assert load_model(artifacts, version_id)[1] == CARD


def test_a_file_that_is_missing_or_damaged_or_no_model_is_told(artifacts: Artifacts) -> None:
    version_id = save_model(artifacts, small_model(), CARD)
    whole = artifacts.read(model_file(version_id))
    artifacts.write(model_file(version_id), whole[:-1] + b"x", overwrite=True)
    with pytest.raises(FleetError, match="is damaged: it is not what was saved"):
        load_model(artifacts, version_id)
    other = "fm-2c26b46b68ff"  # of b"foo"
    artifacts.write(model_file(other), b"foo")
    with pytest.raises(FleetError, match=f"{other} cannot be used: this is no model"):
        load_model(artifacts, other)
    with pytest.raises(FleetError, match=r"fm-000000000000\.zip is missing"):
        load_model(artifacts, "fm-000000000000")


def test_a_card_is_told_though_the_model_cannot_be_used(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_id = save_model(artifacts, small_model(), CARD)
    assert read_card(artifacts, version_id) == (CARD, None)
    monkeypatch.setattr("fleet_assets.models.artifact.INPUTS", ("another",))
    card, problem = read_card(artifacts, version_id)
    assert card == CARD
    assert problem is not None
    assert f"{version_id} cannot be used: the model takes" in problem
    artifacts.write(model_file("fm-2c26b46b68ff"), b"foo")
    assert read_card(artifacts, "fm-2c26b46b68ff")[0] == {}
    card, problem = read_card(artifacts, "fm-000000000000")
    assert (card, "is missing" in str(problem)) == ({}, True)
