"""`cluster/slurm.sh` under a real Slurm."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import ray

from reports.store.tables import Store, open_store
from study.on_ray.driver import run_study
from study.spec import parse_spec
from tests.local_slurm import Slurm, local_slurm, slurm_is_installed, wait_until
from tests.study_tables import assert_same_tables
from tests.synthetic_trial import MakeSynthetic

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not slurm_is_installed(), reason="needs root, slurm-wlm and munge"),
]
ROOT = Path(__file__).parent.parent
SPEC = """
name: short-allocations
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none, mixco]
base: {epochs: 3}
trials: 2
searches: 2
seeds: 1
search: {startup_trials: 2}
trackers: []
"""
SYNTHETIC_MIXCO = f"""#!/bin/sh
PYTHONPATH={ROOT} exec {sys.executable} -c "from tests.synthetic_mixco import run; run()" "$@"
"""
MIXCO_STUB = """#!/bin/bash
trap 'exit 130' TERM
case $3 in complete) exit 0 ;; refused) exit 2 ;; esac
echo under way
sleep 100 & wait
"""
RAY_STUB = """#!/bin/bash
for option; do
    case $option in --temp-dir=*) folder=${option#*=} ;; esac
done
mkdir "$folder" && echo HOST:1 >"$folder/ray_current_cluster"
exec sleep 100
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(local_slurm())
        except RuntimeError as error:
            pytest.skip(f"Slurm does not start here: {error}")
        yield running


def programs(folder: Path, **content: str) -> str:
    """A PATH on which these programs come first."""
    (folder / "bin").mkdir()
    for name, text in content.items():
        program = folder / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    return f"{folder / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"


def submit(
    slurm: Slurm, folder: Path, nodes: int, study: Path | str, *options: str, **environment: str
) -> str:
    """The number of a job that runs the study, with `%j.log` in the folder as its output."""
    wanted = (f"--nodes={nodes}", "--time=60", f"--output={folder}/%j.log", f"--chdir={folder}")
    script = str(ROOT / "cluster" / "slurm.sh")
    job = slurm.call("sbatch", "--parsable", *wanted, script, str(study), *options, **environment)
    return job.strip()


def test_only_an_interrupted_study_goes_back_to_the_queue(slurm: Slurm, tmp_path: Path) -> None:
    path = programs(tmp_path, mixco=MIXCO_STUB, ray=RAY_STUB)
    folders = set(Path("/tmp").glob("mixco-*"))

    def job(study: str) -> str:
        return submit(slurm, tmp_path, 1, study, PATH=path)

    complete, refused = job("complete"), job("refused")
    cancelled, near_its_limit, preempted = job("long"), job("long"), job("long")

    def is_under_way(number: str) -> bool:
        log = tmp_path / f"{number}.log"
        return log.exists() and "under way" in log.read_text()

    def end(number: str, *signal: str) -> None:
        wait_until(lambda: is_under_way(number))
        slurm.call("scancel", *signal, number)

    end(near_its_limit, "--batch", "--signal=USR1")
    end(preempted, "--signal=TERM")
    end(cancelled)
    for number in (near_its_limit, preempted):
        wait_until(lambda number=number: slurm.job(number).state == "PENDING")
        assert slurm.job(number).restarts == 1
    for number, state, code in ((complete, "COMPLETED", 0), (refused, "FAILED", 2)):
        wait_until(lambda number=number, state=state: slurm.job(number).state == state)
        assert slurm.job(number).exit_code == code
    wait_until(lambda: slurm.job(cancelled).state == "CANCELLED")
    assert {slurm.job(number).restarts for number in (complete, refused, cancelled)} == {0}
    slurm.start_again(preempted)
    wait_until(lambda: (tmp_path / f"{preempted}.log").read_text().count("under way") == 2)
    assert slurm.job(preempted).state == "RUNNING"
    assert not set(Path("/tmp").glob(f"mixco-{near_its_limit}-*")) - folders
    slurm.call("scancel", near_its_limit, preempted)  # they would start again in two minutes


@pytest.mark.skipif(
    "MIXCO_TEST_SLURM" not in os.environ,
    reason="takes minutes, and depends on when Slurm looks at its limits: MIXCO_TEST_SLURM=1",
)
def test_a_study_runs_through_short_allocations(slurm: Slurm, tmp_path: Path) -> None:
    study, results, hold = (tmp_path / name for name in ("study.yaml", "results", "hold"))
    study.write_text(SPEC)
    environment = {
        "PATH": programs(tmp_path, mixco=SYNTHETIC_MIXCO),
        "PYTHONPATH": str(ROOT),
        "FOLDER": str(tmp_path),
    }
    job = submit(slurm, tmp_path, 2, study, "--results", str(results), **environment)

    def shorten_the_limit() -> None:
        # Slurm looks at limits every 30 s, and sends the signal of the script 120 s before.
        minutes = slurm.job(job).minutes + 2
        slurm.call("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")

    def tell_the_steps_to_end() -> None:
        slurm.call("scancel", "--signal=TERM", job)

    cuts = (shorten_the_limit, shorten_the_limit, tell_the_steps_to_end)
    for restarts, cut in enumerate(cuts, start=1):
        before = count(results)
        wait_until(lambda before=before: count(results) > before, seconds=200)
        hold.touch()  # The study cannot end before Slurm has looked at the limit.
        cut()
        wait_until(lambda: slurm.job(job).state == "PENDING", seconds=120)
        assert slurm.job(job).restarts == restarts, (tmp_path / f"{job}.log").read_text()
        hold.unlink()
        slurm.start_again(job)
    wait_until(lambda: slurm.job(job).state not in ("PENDING", "RUNNING"), seconds=200)
    ended = slurm.job(job)
    log = (tmp_path / f"{job}.log").read_text()
    assert (ended.state, ended.restarts) == ("COMPLETED", 3), log
    assert log.count("interrupted; finished trials are in") == 3
    begun = defaultdict(list)
    for line in (tmp_path / "diary").read_text().splitlines():
        trial, epoch = line.split()
        begun[trial].append(int(epoch))
    # Each trial went on from its checkpoint. Some were cut, and began the epoch in hand again.
    assert all(epochs == sorted(epochs) for epochs in begun.values()), begun
    assert any(len(epochs) > len(set(epochs)) for epochs in begun.values())
    whole = undisturbed(tmp_path / "whole")
    assert_same_tables(open_store(results), whole)


def count(results: Path) -> int:
    return len(open_store(results).ids()) if results.exists() else 0


def undisturbed(folder: Path) -> Store:
    store = open_store(folder, create=True)
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert run_study(parse_spec(SPEC, "test"), store, make_trial=MakeSynthetic())
    finally:
        ray.shutdown()
    return store
