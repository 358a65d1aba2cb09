"""The benchmark of GPUs takes the same paths on a CPU, in an amount whose figures say nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import memory, steps
from benchmarks.gpu.__main__ import line, measured
from benchmarks.gpu.settings import AMOUNTS, attempted

SMOKE = AMOUNTS["smoke"]
ROOT = Path(__file__).parent.parent


pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_step_has_a_figure_or_says_why_not() -> None:
    found = [*memory.rows(SMOKE, "cpu"), *steps.rows(SMOKE, "cpu")]
    named = {row["case"]: row for row in found if row["measure"] == "step"}
    assert len(named) == 4
    for case, row in named.items():
        if "lightly" in case and "note" in row:
            assert row["note"] == "lightly is not installed here"
            continue
        assert row["lowest"] <= row["images_per_second"] <= row["highest"], line(row)
    (peak,) = (row for row in found if row["measure"] == "peak")
    eager = named["moco, width 2, eager"]
    assert eager["share_of_peak"] == eager["flops_per_second"] / peak["flops_per_second"]
    assert [row["counted_bytes"] > 0 for row in found if row["measure"] == "memory"] == [True] * 2


def test_what_fails_and_what_there_is_no_time_for_is_named() -> None:
    def broken() -> dict[str, float]:
        raise ValueError("no\nsuch card")

    assert attempted("step", "one", broken)["note"] == "failed: ValueError: no such card"
    late = list(measured(SMOKE, "cpu", ["steps", "workers"], minutes=0))
    assert [row["note"] for row in late] == ["left out after 0 minutes"] * 2


@pytest.mark.slow
def test_the_command_needs_neither_ray_nor_optuna_nor_lightly(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(  # for the processes that it starts, too
        "import sys\nfor name in ('ray', 'optuna', 'lightly'): sys.modules[name] = None\n"
    )
    out = tmp_path / "gpu.json"
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--amount", "smoke",
         "--out", out],
        check=True, capture_output=True, text=True, timeout=250, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ).stdout  # fmt: skip
    found = json.loads(out.read_text())
    assert len(said.splitlines()) == 1 + len(found["rows"])
    assert not any("failed" in row.get("note", "") for row in found["rows"]), said
    together = [row for row in found["rows"] if row["measure"] == "together"]
    assert [row["against_one"] > 0 for row in together] == [True] * len(SMOKE.together)
    workers = [row for row in found["rows"] if row["measure"] == "workers"]
    assert [row["loss_difference"] < 1e-2 for row in workers] == [True, True]
