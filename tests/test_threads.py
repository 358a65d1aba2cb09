"""How threads wait, and how many a trial by hand has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from study.doctor import hardware
from tests.in_process import mixco


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_processes_inherit_a_policy_that_does_not_spin_unless_the_user_gives_one(
    given: str | None,
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    code = (
        "import os, sys; from study.commands.main import main\n"
        "sys.argv = ['mixco', '--version']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == (given or "PASSIVE")


@pytest.fixture
def threads() -> Iterator[int]:
    """Threads of this process, which has as many again afterwards."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_a_trial_has_the_threads_that_are_asked_for(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = threads % 2 + 1
    options = ["--dataset", "digits", "--encoder", "resnet10", "--width", "4", "--epochs", "1"]
    options += ["--batch-size", "64", "--queue-size", "64", "--json", "--threads", str(asked)]
    ended = mixco("trial", *options)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out.splitlines()[-1])["threads"] == asked == torch.get_num_threads()


@pytest.mark.parametrize("how", [["--workers", "2"], ["--runner", "train"], ["--repeat", "x"]])
def test_threads_are_for_one_process(how: list[str]) -> None:
    ended = mixco("trial", "--threads", "2", *how)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--threads" in ended.err


def test_other_load_is_told_above_half_of_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "usable_cpus", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (2.0, 9.0, 9.0))
    assert hardware.other_load() == ""
    monkeypatch.setattr(os, "getloadavg", lambda: (2.1, 0.0, 0.0))
    assert "4 CPUs here (load 2.1)" in hardware.other_load()


ON_ONE_CPU = """
import os
from pathlib import Path
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from study.doctor import hardware
from study.fitting import this_machine
from study.spec import parse_spec
from trainables.device.cpus import default_threads, usable_cpus
spec = parse_spec("{name: a, datasets: [digits], widths: [4], trials: 1, searches: 1}", "a")
print(usable_cpus(), default_threads(), this_machine(spec).cpus, hardware.cpus(Path()).says)
"""


def test_an_affinity_mask_limits_cpus_and_threads() -> None:
    assert on_one_cpu(ON_ONE_CPU).startswith("1 1 1.0 1 usable, load ")


@pytest.mark.slow
def test_an_affinity_mask_limits_a_local_ray() -> None:
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import ray
from study.on_ray.cluster import connected
with connected(None):
    print(ray.cluster_resources()["CPU"])
"""
    assert on_one_cpu(code) == "1.0\n"


def on_one_cpu(code: str) -> str:
    """What a process prints that sets its own affinity mask first."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
