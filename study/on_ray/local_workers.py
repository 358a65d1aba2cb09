"""One trial on several workers of this machine, without a study."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.on_ray.cluster import connected
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.on_ray.steps import TrialSetup, local_trial
from trainables.on_ray.train import TrainTrial


@contextmanager
def trial_on_workers(
    config: TrialConfig, split: str, data_dir: Path | None, workers: int
) -> Iterator[TrainTrial]:
    """A trial whose workers share the CPUs of this machine, or have a GPU each.

    Raises:
        InputError: the machine has fewer CPUs (or GPUs, if the config wants them) than workers.
    """
    import torch

    # All workers together use as many threads as torch would use in one process.
    threads = torch.get_num_threads()
    if workers > threads:
        raise InputError(f"--workers {workers}: only {threads} CPUs are available")
    gpus = torch.cuda.device_count() if config.device != "cpu" else 0
    if gpus < workers and config.device.startswith("cuda"):
        raise InputError(
            f"--workers {workers}: only {gpus} GPUs are available (device: cpu is slower)"
        )
    with tempfile.TemporaryDirectory() as storage, connected("local"):
        trial = TrainTrial(
            TrialSetup(
                name="trial",
                config=config,
                split=split,
                data_dir=data_dir.absolute() if data_dir else None,
                workers=workers,
                cpus=threads // workers,
                gpus=1 if gpus >= workers else 0,
                storage=storage,
                make_trial=local_trial,
                checkpoint_seconds=0,  # A user can continue or export the trial after any epoch.
            )
        )
        try:
            yield trial
        except BaseException:
            trial.close(seconds=1)  # Do not wait for the end of the epoch.
            raise
        trial.close()
