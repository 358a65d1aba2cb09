"""Memory: what a trial needs is a true lower bound, and a trial that cannot fit is refused."""

from __future__ import annotations

import json
import mmap
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from trainables.config import TrialConfig
from trainables.data.dataset import load_dataset
from trainables.device import memory
from trainables.device.runtime import Runtime
from trainables.errors import InputError
from trainables.trial import Trial

STEP = """
import json, os, resource, sys
from pathlib import Path
import torch
from trainables.config import TrialConfig
from trainables.device import memory
from trainables.trial import Trial

torch.set_num_threads(1)

def trial_of_one_step(**fields):
    config = TrialConfig(
        dataset="digits", encoder="resnet10", width=16, epochs=1, knn_every=0, precision="fp32",
        compile="off", **fields,
    )
    trial = Trial(config, split="validation", data_dir=Path(sys.argv[1]))
    trial.pretraining.steps_per_epoch = 1
    return trial

if os.fork() == 0:
    # The first layer's features alone take 64 MiB, and all before them much less. If a smaller
    # piece of memory were missing, oneDNN's error would not say what is wrong.
    trial = trial_of_one_step(image_size=32, batch_size=1024)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), -1))
    try:
        trial.advance()
        said = "memory sufficed"
    except Exception as error:
        said = f"{error}"
    print(json.dumps(said), flush=True)
    os._exit(0)
os.wait()
trial = trial_of_one_step(image_size=16, batch_size=1024)
before = trial.runtime.peak_memory()
trial.pretraining.advance()
needed = memory.needed(trial.config, trial.data, trial.runtime)
print(json.dumps([sum(needed.values()), trial.runtime.peak_memory() - before]))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


class Steps(NamedTuple):
    """What became of a step with too little memory, and of one with enough."""

    said: str
    needed: int
    taken: int


@pytest.fixture(scope="module")
def steps(data_dir: Path) -> Steps:
    """Two real steps, each in a process of its own, whose memory nothing else has touched."""
    command = [sys.executable, "-c", STEP, str(data_dir)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said, (needed, taken) = map(json.loads, done.stdout.splitlines())
    return Steps(said, needed, taken)


def test_a_real_step_takes_what_is_needed_and_not_much_more(steps: Steps) -> None:
    assert steps.needed <= steps.taken <= 2 * steps.needed


def test_a_step_that_runs_out_of_memory_says_what_it_needs(steps: Steps) -> None:
    assert re.match(
        r"memory: ran out on this machine; the trial needs at least [1-9][\d.]* GiB "
        r"\(activations [1-9][\d.,]* MiB, ",
        steps.said,
    ), steps.said
    assert "\n" not in steps.said


def test_a_trial_that_can_never_fit_is_refused_before_it_is_built(data_dir: Path) -> None:
    config = TrialConfig(dataset="digits", image_size=64, width=1024, batch_size=1024, epochs=1)
    with pytest.raises(
        InputError, match=r"memory: the trial needs at least \d+\.\d GiB \(activations"
    ) as refused:
        Trial(config, data_dir=data_dir)
    assert "this machine has" in str(refused.value)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can be reset on Linux only")
def test_peak_memory_is_the_trials_own_not_that_of_an_earlier_one_in_the_process() -> None:
    config = TrialConfig(dataset="digits")
    earlier = Runtime(config)
    with mmap.mmap(-1, 300 << 20) as block:
        for start in range(0, len(block), 1 << 20):
            block[start : start + (1 << 20)] = bytes(1 << 20)
    peak = earlier.peak_memory()
    assert Runtime(config).peak_memory() < peak - (200 << 20)


def test_need_follows_batch_precision_and_method(data_dir: Path) -> None:
    data = load_dataset("digits", data_dir=data_dir)

    def needed(**fields: object) -> dict[str, int]:
        values = {"dataset": "digits", "batch_size": 64, "precision": "fp32", **fields}
        config = TrialConfig.model_validate(values)
        return memory.needed(config, data, Runtime(config))

    base = needed(arm="none")
    assert needed(arm="none", batch_size=128)["activations"] == 2 * base["activations"]
    assert needed(arm="none", precision="bf16")["activations"] == base["activations"] // 2
    assert needed(arm="mixco")["activations"] == pytest.approx(1.5 * base["activations"])
    assert needed(arm="none", method="simclr")["activations"] == 2 * base["activations"]
    assert needed(arm="none", queue_size=8)["weights"] == base["weights"]
    assert "images" not in base  # mapped from a file on the CPU
