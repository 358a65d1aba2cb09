"""The examples of the documents run as they stand, on made-up results in results/demo."""

from __future__ import annotations

import doctest
import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from reports.store.schema import EPOCHS
from tests.synthetic_study import Truth, draw_trials, write_store, write_table

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for package in ("trainables", "search_spaces", "reports", "study")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
TRUTH = Truth(
    methods=("moco",), widths=(4, 8, 16), searches=3, seeds=2, luck=0.3, tune_trials=4, study="demo"
)


@pytest.fixture
def results_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which `mixco study run demo` seems to have run."""
    trials = draw_trials(TRUTH, np.random.default_rng(0))
    root = write_store(tmp_path / "results" / "demo", trials)
    epochs = [
        {"trial_id": trial_id, "epoch": epoch, "loss": 3.0 / epoch, "images_per_second": 500.0}
        for trial_id in trials["trial_id"]
        for epoch in (1, 2, 3, 4)
    ]
    write_table(root, "epochs", pa.Table.from_pylist(epochs, schema=EPOCHS))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("results_demo")
def test_the_examples_of_the_library_print_what_the_page_says() -> None:
    page = str(DOCS / "reference" / "reports.md")
    with pd.option_context("display.width", 100):
        found = doctest.testfile(page, module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 10
    assert found.failed == 0


@pytest.mark.usefixtures("results_demo")
def test_the_notebook_runs() -> None:
    notebook = json.loads((DOCS / "results.ipynb").read_text(encoding="utf-8"))
    namespace: dict[str, object] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
    gains = namespace["gains"]
    assert isinstance(gains, pd.DataFrame)
    assert gains["gain"].between(0, 6).all()
    means = namespace["by_width"]
    assert isinstance(means, pd.DataFrame)
    # DuckDB's means are those of the library: two readers of the same rows.
    mixed = means[means["arm"] == "mixco"].sort_values("width")
    assert mixed["accuracy"].tolist() == pytest.approx(gains["accuracy"].tolist())


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_code_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
