"""Compare the `linear` probe with the published protocol, `linear_sgd`: accuracy and time.

    python -m benchmarks.probe CHECKPOINT [--images 10000] [--untrained] [--cached]

The checkpoint is one that `mixco trial` left (results/by-hand/checkpoints/TRIAL_ID.pt). Both probes
train on the first ``images`` training images (their order is stratified and random) and are scored
on the whole test split. With ``--cached``, SGD trains on the same features of whole images as
`linear`: raw ones at the published rate, and standardised ones at a smaller rate. This shows which
part of the difference does not come from the augmentation.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from benchmarks.machine import conditions
from trainables import checkpoint
from trainables.config import TrialConfig
from trainables.data.dataset import Split
from trainables.device.runtime import cpu_name
from trainables.evaluation import features
from trainables.evaluation.features import Accuracy, Features, accuracy
from trainables.evaluation.linear import linear
from trainables.evaluation.linear_sgd import (
    BATCH,
    EPOCHS,
    LEARNING_RATE,
    MILESTONES,
    MOMENTUM,
    linear_sgd,
)
from trainables.trial import Trial

STANDARDISED_RATE = 0.1


def cached_sgd(
    train: Features, queries: Features, classes: int, epochs: int
) -> dict[str, Accuracy]:
    """`linear_sgd` on cached features: raw at its own rate, and standardised."""
    mean, std = train.values.mean(0), train.values.std(0)
    found = {}
    for name, rate, shift, scale in (
        (f"raw, rate {LEARNING_RATE:g}", LEARNING_RATE, torch.zeros_like(mean), 1.0),
        (f"standardised, rate {STANDARDISED_RATE:g}", STANDARDISED_RATE, mean, std),
    ):
        values = (train.values - shift) / scale
        torch.manual_seed(0)
        classifier = torch.nn.Linear(values.shape[1], classes)
        optimizer = torch.optim.SGD(classifier.parameters(), rate, MOMENTUM)
        milestones = [epochs * milestone // EPOCHS for milestone in MILESTONES]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
        for _ in range(epochs):
            for rows in torch.randperm(len(values)).split(BATCH):
                optimizer.zero_grad()
                cross_entropy(classifier(values[rows]), train.labels[rows]).backward()
                optimizer.step()
            schedule.step()
        with torch.no_grad():
            scores = classifier((queries.values - shift) / scale)
        found[name] = accuracy(scores, queries.labels)
    return found


def main() -> None:
    """Print one line for each probe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of linear_sgd")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--untrained", action="store_true", help="the encoder as it was at first")
    parser.add_argument("--cached", action="store_true", help="SGD on the features of `linear`")
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

    def extract() -> tuple[Features, Features]:
        return (
            features.extract(encoder, data.train, data, runtime),
            features.extract(encoder, data.test, data, runtime),
        )

    def cached() -> Accuracy:
        return linear(*extract(), classes)

    def sgd() -> Accuracy:
        return linear_sgd(encoder, data, data.test, runtime, config.seed, options.epochs)

    print(f"{cpu_name()}, {options.threads} threads; {conditions('torch')}")
    print(
        f"{config.encoder}, width {config.width}, {config.method} with arm {config.arm}, "
        f"{0 if options.untrained else trial.epoch} epochs on {config.dataset}; probes: "
        f"{len(data.train):,} training and {len(data.test):,} test images"
    )
    if options.cached:
        print(f"linear: {cached().top1:.2f} % top-1")
        train_features, queries = extract()
        for name, found in cached_sgd(train_features, queries, classes, options.epochs).items():
            print(f"SGD on cached features, {name}: {found.top1:.2f} % top-1")
        return
    seconds = []
    for name, probe in (("linear", cached), (f"linear_sgd, {options.epochs} epochs", sgd)):
        start = time.perf_counter()
        found = probe()
        seconds.append(time.perf_counter() - start)
        print(f"{name}: {found.top1:.2f} % top-1, {found.top5:.2f} % top-5, {seconds[-1]:.1f} s")
    print(f"linear takes 1/{seconds[1] / seconds[0]:.0f} of the time, features included")


if __name__ == "__main__":
    main()
