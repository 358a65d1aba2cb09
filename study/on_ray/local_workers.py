"""One trial on several workers of this machine, without a study."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.on_ray.cluster import connected
from trainables.config import TrialConfig
from trainables.device.cpus import default_threads
from trainables.errors import InputError
from trainables.on_ray.steps import TrialSetup, local_trial
from trainables.on_ray.train import TrainTrial


@contextmanager
def trial_on_workers(
    config: TrialConfig,
    split: str,
    data_dir: Path | None,
    workers: int,
    threads: int | None = None,
) -> Iterator[TrainTrial]:
    """A trial whose workers share the CPUs of this machine, or have a GPU each.

    Args:
        config: of the trial.
        split: as of `Trial`.
        data_dir: the folder of the data sets.
        workers: their number.
        threads: of each worker, if the CPUs are enough; default: an equal share of them.

    Raises:
        InputError: the machine has fewer CPUs (or GPUs, if the config wants them) than workers.
    """
    import torch

    cpus = default_threads()
    if workers > cpus:
        raise InputError(f"--workers {workers}: only {cpus} CPUs are available")
    if threads is None or threads * workers > cpus:
        threads = cpus // workers
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
                cpus=threads,
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
