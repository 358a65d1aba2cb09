"""`mixco study submit` and `logs` on a real head with its dashboard."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.store.tables import open_store
from study.on_ray.jobs import Jobs
from tests.local_head import Head, free_ports, local_head
from trainables.errors import InputError

EXAMPLE = Path(__file__).parent.parent / "examples" / "own_encoder"
SPEC = """
name: job
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none]
base: {epochs: 4, batch_size: 256, knn_every: 0}
space: {learning_rate: false, temperature: false, weight_decay: false}
trials: 1
searches: 1
seeds: 2
trackers: []
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "elsewhere" / "job.yaml"
    path.parent.mkdir()
    path.write_text(SPEC)
    return str(path)


def line_with(text: str, stream: Iterator[str]) -> str:
    return next(line for line in stream if text in line)


def test_what_is_not_a_dashboard_is_refused() -> None:
    (port,) = free_ports(1)
    with pytest.raises(InputError, match=r"http://HEAD:8265"):
        Jobs("head:6379")
    with pytest.raises(InputError, match=f"127.0.0.1:{port}"):
        Jobs(f"http://127.0.0.1:{port}")


@pytest.mark.slow
def test_a_job_is_left_running_and_followed_again_to_its_exit_code(
    head: Head, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an encoder whose module lies beside the study's file, and nowhere on the cluster."""
    shutil.copy(EXAMPLE / "plain.py", Path(spec).parent)
    own = f'{SPEC}encoders: ["plain:PlainNet"]\n'
    Path(spec).write_text(own)
    results = tmp_path / "results"
    work = tmp_path / "work"
    (work / ".venv").mkdir(parents=True)
    with (work / ".venv" / "large").open("wb") as large:
        large.truncate(1 << 30)  # twice what Ray ships: left out, or refused
    monkeypatch.chdir(work)
    submit = ("study", "submit", spec, "--address", head.dashboard, "--results")
    refused = head.mixco(*submit, "results/job")
    follower = head.mixco(*submit, str(results))
    assert follower.stdout is not None
    line_with("of 3 trials", iter(follower.stdout))
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=150)
    assert follower.returncode == 130, err
    again = err.splitlines()[-1]
    assert again.startswith("left running; follow it again with: mixco study logs ")
    follower = head.mixco(*again.split("mixco ")[1].split())
    out, err = follower.communicate(timeout=200)
    assert follower.returncode == 0, err
    assert f"complete: {results}" in out
    trials = open_store(results).read("trials")
    assert list(trials["status"]) == ["complete"] * 3
    assert set(trials["encoder"]) == {"plain:PlainNet"}

    Path(spec).write_text(own.replace("epochs: 4", "epochs: 2"))
    other = head.mixco(*submit, str(results), "--env", "NOTE=hidden-value")
    out, err = other.communicate(timeout=200)
    assert "shows these variables of the job: NOTE\n" in err
    assert "hidden-value" not in out + err
    assert other.returncode == 2
    assert "base.epochs 4 -> 2" in out
    _, err = refused.communicate(timeout=150)
    assert refused.returncode == 2
    assert "give --results a URI" in err
    unknown = head.mixco("study", "logs", "raysubmit_none", "--address", head.dashboard)
    _, err = unknown.communicate(timeout=150)
    assert unknown.returncode == 2
    assert "raysubmit_none" in err
    stranger = head.mixco("study", "logs", "x", "--address", head.dashboard, RAY_AUTH_TOKEN=None)
    _, err = stranger.communicate(timeout=150)
    assert stranger.returncode == 2
    assert "token" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_after_its_head_died_a_study_goes_on_on_the_next(
    head: Head, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(spec).write_text(SPEC.replace("epochs: 4", "epochs: 8").replace("seeds: 2", "seeds: 3"))
    results = tmp_path / "results"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def submit(there: Head, *more: str) -> subprocess.Popen[str]:
        where = ("--address", there.dashboard, "--results", str(results))
        return there.mixco("study", "submit", spec, *where, *more)

    with local_head() as first:
        submit(first, "--detach").communicate(timeout=150)
        before = set()
        while not before:
            time.sleep(0.2)
            before = open_store(results).ids() if results.exists() else set()
    assert len(before) < 4
    out, err = (process := submit(head)).communicate(timeout=200)
    assert process.returncode == 0, out + err
    trials = open_store(results).read("trials")
    assert list(trials["status"]) == ["complete"] * 4
    assert before <= set(trials["trial_id"])
