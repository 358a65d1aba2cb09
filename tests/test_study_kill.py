"""Killed drivers: no finished trial is lost, none appears twice, the table ends the same."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from reports.store.tables import open_store
from study.on_ray.interruption import EXIT_CODE
from tests.study_tables import assert_same_tables

SPEC = """
name: killed
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


def start(folder: Path, results: str, seconds: float = 0.1, cpus: int = 2) -> subprocess.Popen[str]:
    """A driver that leads a process group of its own."""
    spec = folder / "study.yaml"
    spec.write_text(SPEC)
    arguments = [str(spec), str(folder / results), str(seconds), str(cpus)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.synthetic_driver", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parent.parent,
        start_new_session=True,
    )


def kill_with_ray(driver: subprocess.Popen[str]) -> None:
    """`kill -9` of the driver; what Ray it had started is taken down too, as a job system would."""
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def assert_same(folder: Path, one: str, other: str) -> None:
    assert_same_tables(open_store(folder / one), open_store(folder / other))


def finish(folder: Path, results: str, seconds: float = 0.0) -> str:
    output, _ = start(folder, results, seconds).communicate(timeout=240)
    assert output.splitlines()[-1] == "complete", output
    return output


def recorded(folder: Path) -> set[str]:
    return open_store(folder / "killed").ids() if (folder / "killed").is_dir() else set()


def run_until(
    folder: Path, trials: int, seconds: float = 0.1, cpus: int = 2
) -> subprocess.Popen[str]:
    """A driver that has just recorded so many trials."""
    driver = start(folder, "killed", seconds, cpus)
    deadline = time.monotonic() + 240
    while len(recorded(folder)) < trials:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return driver


@pytest.mark.slow
def test_interrupting_ends_cleanly_and_a_second_driver_is_refused(tmp_path: Path) -> None:
    driver = run_until(tmp_path, 2, seconds=2)  # slow trials: work is left when the second asks
    second, _ = start(tmp_path, "killed", cpus=0).communicate(timeout=200)
    assert "error:" in second and f"process {driver.pid} " in second
    driver.send_signal(signal.SIGINT)
    output, _ = driver.communicate(timeout=150)
    assert output.splitlines()[-1] == "interrupted"
    assert len(list((tmp_path / "killed" / "trials").iterdir())) == 1  # merged
    assert not (tmp_path / "killed" / "driver.lock").exists()
    assert not (tmp_path / "killed" / ".tune").exists()


@pytest.mark.slow
def test_sigterm_to_the_process_group_ends_a_run_soon_with_a_line(tmp_path: Path) -> None:
    driver = run_until(tmp_path, 1, seconds=0.5, cpus=0)
    before = recorded(tmp_path)
    os.killpg(driver.pid, signal.SIGTERM)
    sent = time.monotonic()
    output, _ = driver.communicate(timeout=60)
    assert time.monotonic() - sent < 15
    # 0: the run ended in order, and the synthetic driver returned. A slow machine makes it leave.
    assert driver.returncode in (0, EXIT_CODE), output
    assert output.splitlines()[-1].startswith("interrupted"), output
    assert "Failed to connect to GCS" not in output
    assert not (tmp_path / "killed" / "driver.lock").exists()
    assert before <= recorded(tmp_path)


KILLS = 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_at_random_moments_lose_no_trial_and_repeat_none(tmp_path: Path) -> None:
    """By turns somewhere in a driver's start and amid its trials; a study that ends begins anew."""
    finish(tmp_path, "whole")
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        driver = start(tmp_path, "killed", 0.3)
        before = recorded(tmp_path)
        if kills % 2:
            while driver.poll() is None and recorded(tmp_path) == before:
                time.sleep(0.05)
        with suppress(subprocess.TimeoutExpired):
            driver.wait(moments.uniform(0, 3 if kills % 2 else 7))
        if driver.poll() is not None:
            output, _ = driver.communicate()
            assert output.splitlines()[-1] == "complete", output
            assert_same(tmp_path, "killed", "whole")
            shutil.rmtree(tmp_path / "killed")
            continue
        before = recorded(tmp_path)
        kill_with_ray(driver)
        assert before <= recorded(tmp_path)
        kills += 1
    before = recorded(tmp_path)
    output = finish(tmp_path, "killed")
    assert not any(re.search(rf"^{name}:", output, re.MULTILINE) for name in before)
    assert_same(tmp_path, "killed", "whole")
