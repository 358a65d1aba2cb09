"""The `linear` probe beside `linear_sgd`, the published protocol: accuracy and time, one encoder.

    python -m benchmarks.probe CHECKPOINT [--images 10000] [--untrained]

The checkpoint is one that `mixco trial` left (results/trials/checkpoints/TRIAL_ID.pt). Both probes
train on the first ``images`` training images (their order is stratified and random) and are scored
on the whole test split.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.rounds import conditions
from trainables import checkpoint, evaluation
from trainables.config import TrialConfig
from trainables.datasets import Split
from trainables.evaluation import Accuracy
from trainables.probe_sgd import EPOCHS, linear_sgd
from trainables.trial import Trial


def main() -> None:
    """Print one line for each probe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of linear_sgd")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--untrained", action="store_true", help="the encoder as it was at first")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    state = checkpoint.load(options.checkpoint, torch.device("cpu"))
    config = TrialConfig.model_validate(state["config"])
    trial = Trial(config, split="test", data_dir=options.data_dir)
    if not options.untrained:
        trial.restore(options.checkpoint)
    train = trial.data.train
    data = replace(
        trial.data, train=Split(train.images[: options.images], train.labels[: options.images])
    )
    encoder, runtime, classes = trial.pretraining.encoder, trial.runtime, len(data.classes)

    def linear() -> Accuracy:
        features = evaluation.extract(encoder, data.train, data, runtime)
        queries = evaluation.extract(encoder, data.test, data, runtime)
        return evaluation.linear(features, queries, classes)

    def sgd() -> Accuracy:
        return linear_sgd(encoder, data, data.test, runtime, config.seed, options.epochs)

    print(conditions(options.threads, "torch"))
    print(
        f"{config.encoder}, width {config.width}, {config.method} with arm {config.arm}, "
        f"{0 if options.untrained else trial.epoch} epochs on {config.dataset}; probes: "
        f"{len(data.train):,} training and {len(data.test):,} test images"
    )
    seconds = []
    for name, probe in (("linear", linear), (f"linear_sgd, {options.epochs} epochs", sgd)):
        start = time.perf_counter()
        found = probe()
        seconds.append(time.perf_counter() - start)
        print(f"{name}: {found.top1:.2f} % top-1, {found.top5:.2f} % top-5, {seconds[-1]:.1f} s")
    print(f"linear takes 1/{seconds[1] / seconds[0]:.0f} of the time, features included")


if __name__ == "__main__":
    main()
