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
from tests.local_head import Head
from trainables.data_dir import default_data_dir
from trainables.own_objects import OWN_NAME

EXAMPLES = Path(__file__).parent.parent / "examples"
MIXCO = str(Path(sys.executable).with_name("mixco"))
SMALLEST = {
    "widths: [2, 4, 8]": "widths: [2]",
    "widths: [4, 8, 16]": "widths: [4]",
    "epochs: 2": "epochs: 1",
    "seeds: 2": "seeds: 1",
    "arms: [none, mixco, ": "arms: [none, ",
}


def copied(example: str, folder: Path, changes: dict[str, str]) -> Path:
    """The example's folder elsewhere, its study with the changes."""
    there = folder / "elsewhere" / example
    shutil.copytree(EXAMPLES / example, there, ignore=shutil.ignore_patterns("__pycache__"))
    study = there / "digits.yaml"
    text = study.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    study.write_text(text)
    return there


def command(where: Path, *arguments: str, **environment: str) -> str:
    """What `mixco ARGUMENTS` prints; the current folder is not the example's, nor the project's."""
    values = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [MIXCO, *arguments],
        cwd=where,
        env={**values, "MIXCO_DATA": str(default_data_dir()), **environment},
        capture_output=True,
        text=True,
        timeout=850,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout + ended.stderr


def check_trials(results: Path, own: str) -> None:
    trials = open_store(results).read("trials")
    assert set(trials["status"]) == {"complete"}
    assert own in set(trials["arm"]) | set(trials["method"]) | set(trials["encoder"])


def check_report(results: Path, own: str) -> None:
    check_trials(results, own)
    assert own in command(results.parent, "report", str(results))
    assert own in (results / "report" / "index.html").read_text()


@pytest.mark.slow
def test_an_arm_of_ones_own_runs_on_a_local_ray_and_is_reported(tmp_path: Path) -> None:
    there = copied("own_arm", tmp_path, SMALLEST)
    results = tmp_path / "results"
    command(tmp_path, "study", "run", str(there / "digits.yaml"), "--results", str(results))
    check_report(results, "cutmix:CutMix")


@pytest.mark.parametrize("example", ["own_arm", "own_method", "own_encoder"])
def test_the_study_of_each_example_is_valid_as_it_ships(example: str) -> None:
    # Its smallest version runs: own_arm above, own_encoder on a head. Of own_method a trial runs
    # in tests/test_trial_workers.py.
    spec = load_spec(str(EXAMPLES / example / "digits.yaml"))
    assert len(spec.widths) == 3  # what a slope takes
    assert any(OWN_NAME.fullmatch(name) for name in (*spec.arms, *spec.methods, *spec.encoders))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_example_runs_as_a_job_of_a_ray_that_lacks_its_module(
    head: Head, tmp_path: Path
) -> None:
    there = copied("own_encoder", tmp_path, SMALLEST)
    results = tmp_path / "results"
    place = ("--address", head.dashboard, "--results", str(results))
    command(tmp_path, "study", "submit", str(there / "digits.yaml"), *place, **head.environment)
    check_trials(results, "plain:PlainNet")
