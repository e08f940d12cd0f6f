"""The notebook runs in a fresh kernel without a platform; it is kept without outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "train_a_challenger.ipynb"
VARIABLES = ("FLEET_LAKE_URL", "FLEET_POSTGRES_URL")
SAYS = """
assert place.is_sandbox
assert given.healthy.height and given.card["faults"] >= 20
assert challenger.version_id != first.version_id
known = {each.version_id for each in versions(warehouse)}
assert known == {first.version_id, challenger.version_id}
assert all(found is not None for found in serving().values())
asked = [row for row in read_audit(warehouse) if row.made_by == "notebook"]
assert {row.action for row in asked} <= {"first", "challenge", "refuse"}
assert evaluated is not None and {row.group for row in asked[len(given.card["groups"]):]}
"""


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_output() -> None:
    notebook = read()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_a_challenger_is_trained_compared_and_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLEET_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the client kills the kernel: nothing may be left
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    notebook = read()
    notebook.cells.append(nbformat.v4.new_code_cell(SAYS))
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    pictures = [out for out in shown if "image/png" in out.get("data", {})]
    assert len(pictures) >= 4
