"""The examples run from another directory with the installed package, and end in a report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reports.store.tables import open_store
from study.spec import load_spec
from trainables.data_dir import default_data_dir
from trainables.own_objects import OWN_NAME

EXAMPLES = Path(__file__).parent.parent / "examples"
MIXCO = str(Path(sys.executable).with_name("mixco"))
SMALLEST = {
    "widths: [2, 4, 8]": "widths: [2]",
    "epochs: 2": "epochs: 1",
    "seeds: 2": "seeds: 1",
    "arms: [none, mixco, ": "arms: [none, ",
}


def smallest_own_arm(folder: Path) -> Path:
    """The study of an arm of one's own, in a copy of its folder elsewhere, with few trials."""
    there = folder / "elsewhere" / "own_arm"
    shutil.copytree(EXAMPLES / "own_arm", there, ignore=shutil.ignore_patterns("__pycache__"))
    study = there / "digits.yaml"
    text = study.read_text()
    for old, new in SMALLEST.items():
        text = text.replace(old, new)
    study.write_text(text)
    return study


def command(where: Path, *arguments: str) -> str:
    """What `mixco ARGUMENTS` prints; the current folder is not the example's, nor the project's."""
    values = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [MIXCO, *arguments],
        cwd=where,
        env={**values, "MIXCO_DATA": str(default_data_dir())},
        capture_output=True,
        text=True,
        timeout=850,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout + ended.stderr


@pytest.mark.slow
def test_an_arm_of_ones_own_runs_on_a_local_ray_and_is_reported(tmp_path: Path) -> None:
    study = smallest_own_arm(tmp_path)
    results = tmp_path / "results"
    command(tmp_path, "study", "run", str(study), "--results", str(results))
    trials = open_store(results).read("trials")
    assert set(trials["status"]) == {"complete"}
    assert "cutmix:CutMix" in set(trials["arm"])
    assert "cutmix:CutMix" in command(tmp_path, "report", str(results))
    assert "cutmix:CutMix" in (results / "report" / "index.html").read_text()


@pytest.mark.parametrize("example", ["own_arm", "own_method", "own_encoder"])
def test_the_study_of_each_example_is_valid_as_it_ships(example: str) -> None:
    # Its smallest version runs: own_arm above; own_encoder as a job. Of own_method a trial runs
    # in tests/test_trial_workers.py.
    spec = load_spec(str(EXAMPLES / example / "digits.yaml"))
    assert len(spec.widths) == 3  # what a slope takes
    assert any(OWN_NAME.fullmatch(name) for name in (*spec.arms, *spec.methods, *spec.encoders))
