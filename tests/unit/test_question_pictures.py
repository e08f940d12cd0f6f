"""The guide shows a picture of each question's answer, and none of anything else."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from fleet_assets.question_plot import save_plot
from fleet_assets.questions import question, questions

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "images" / "questions"
MOST_BYTES = 20_000


def test_each_question_has_a_small_picture_that_the_guide_shows() -> None:
    wanted = {f"{each.number:02}-{each.name}.svg" for each in questions()}
    assert {path.name for path in FOLDER.iterdir()} == wanted
    assert all(path.stat().st_size < MOST_BYTES for path in FOLDER.iterdir())
    guide = (DOCS / "guides" / "analyst.md").read_text()
    shown = re.findall(r"!\[(.+?)\]\(\.\./images/questions/(.+?)\)", guide)
    assert {name for _, name in shown} == wanted
    titles = {f"{each.number:02}-{each.name}.svg": each.title for each in questions()}
    for words, name in shown:
        assert titles[name].startswith(words), name


def test_no_picture_is_empty() -> None:
    for path in FOLDER.iterdir():
        assert "nothing yet" not in path.read_text(), path.name


def test_the_same_answer_is_the_same_picture(tmp_path: Path) -> None:
    rows = pl.DataFrame({"fleet_id": ["north", "south"], "idle_cost": [1.0, 2.0]})
    for name in ("a.svg", "b.svg"):
        save_plot(question(1), rows, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_labels_keep_their_digits(tmp_path: Path) -> None:
    rows = pl.DataFrame({"fleet_id": ["north", "south"], "idle_cost": [0.001, 0.0035]})
    save_plot(question(1), rows, tmp_path / "a.svg")
    assert ">0.0035</text>" in (tmp_path / "a.svg").read_text()
