"""The numbers of the decisions: as agreed, and mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.policy import POLICY, policy, read_policy


def test_the_numbers_are_those_that_were_agreed() -> None:
    numbers = policy()
    assert numbers.comparison.needs("refresh").least_gain == -0.01
    assert numbers.comparison.needs("refresh").most_alarm_growth == 0.05
    assert numbers.comparison.needs("recipe").least_gain == 0.02
    assert numbers.rollout.share == 0.1
    assert numbers.drift.least_effect == 0.2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: p["comparison"].update(confidence=5), r"comparison\.confidence: .*less than 1"),
        (lambda p: p["comparison"].pop("seed"), r"comparison\.seed: Field required"),
        (lambda p: p["comparison"].update(odd=1), r"comparison\.odd: Extra inputs"),
        (lambda p: p["comparison"]["recipe"].update(least_gain=0), "has to be better"),
        (lambda p: p["comparison"]["refresh"].update(least_gain=0.03), "more than that of a rec"),
        (lambda p: p["comparison"]["bar"].update(most_loss=0.005), "less than a refresh may lose"),
        (lambda p: p["rollout"].update(part_days=[7, 3]), "part_days: give days in rising order"),
        (lambda p: p["rollout"].update(part_days=[]), r"rollout\.part_days"),
        (lambda p: p["first_model"].update(least_hours=14), r"silence in less than 3 / most_false"),
        (lambda p: p["drift"].update(least_vehicles=2), r"drift\.least_vehicles"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    given = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    change(given)
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(FleetError, match=f"policy.yaml: .*{told}"):
        read_policy(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"odd\.yaml"):
        read_policy(tmp_path / "odd.yaml")
