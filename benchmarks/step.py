"""Measure a MoCo + MixCo step in images/s: against other code, and after each optimisation.

    python -m benchmarks.step [--width 8] [--dataset NAME]

The steps compute as ``precision: auto`` does here: in bf16 where the processor multiplies it.
A DataLoader feeds the published step and lightly's MoCo (without mixing); the table shows the
fastest of several numbers of loader processes. Without a data set, the images are noise, which
takes the same time.
`python -m pip install -e '.[bench]'` installs lightly.
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import conditions
from benchmarks.peers import Images, lightly_moco, published
from benchmarks.rounds import Contestant, Turn, race, table
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, Split, load_dataset
from trainables.device import runtime as runtime_module
from trainables.device.runtime import Runtime, cpu_name
from trainables.native import batch_norm
from trainables.pretraining import Pretraining

QUEUE = 4096
PEERS = {"published MixCo step": published, "lightly MoCo": lightly_moco}


def load(name: str | None, data_dir: Path | None, images: int) -> Images:
    """uint8 images, [N, H, W, 3]."""
    if name is None:
        return np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), np.uint8)
    train = load_dataset(name, data_dir=data_dir).train.images[:images]
    return np.ascontiguousarray(train.permute(0, 2, 3, 1).numpy())


def ours(
    images: Images,
    config: TrialConfig,
    channels_last: bool = True,
    allocator: bool = True,
    fused: bool = True,
) -> Turn:
    """The step of this tool: images/s of an epoch over ``images``."""
    pretraining = prepare(images, config, channels_last, allocator, fused)
    return lambda: pretraining.advance()["images_per_second"]


def prepare(
    images: Images,
    config: TrialConfig,
    channels_last: bool = True,
    allocator: bool = True,
    fused: bool = True,
) -> Pretraining:
    """A trial's training on ``images``, with or without three of its ingredients.

    An ingredient that is left out is missing in the whole process from then on.
    """
    if not fused:
        batch_norm.is_available = lambda: False
    if not allocator:
        runtime_module.keep_freed_memory = lambda: None  # type: ignore[assignment]
    runtime = Runtime(config)
    if not channels_last:
        runtime.memory_format = torch.contiguous_format
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    split = Split(pixels, torch.zeros(len(pixels), dtype=torch.long))
    data = Dataset(
        "images", ("all",), "", images.shape[1], 3, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26),
        train=split, validation=split, test=split, cache_dir=Path(),
    )  # fmt: skip
    return Pretraining(config, data, runtime)


def augmentation(images: Images, config: TrialConfig) -> Turn:
    """Percent of a step's time that making its two views and its order takes."""
    pretraining = prepare(images, config)

    def share() -> float:
        start = time.perf_counter()
        for _ in pretraining._batches():
            pass
        middle = time.perf_counter()
        pretraining.advance()
        return 100 * (middle - start) / (time.perf_counter() - middle)

    return share


def contestants(
    images: Images, width: int, batch: int, workers: list[int], ladder: bool
) -> list[Contestant]:
    """Peers first; each further row adds an ingredient to the one before it."""
    peers = [
        Contestant(name, make, (images, width, batch, QUEUE, count), f"{count} workers")
        for name, make in PEERS.items()
        if name != "lightly MoCo" or find_spec("lightly")
        for count in workers
    ]

    def config(precision: str, compiled: str) -> TrialConfig:
        return TrialConfig(
            width=width, batch_size=batch, queue_size=QUEUE, epochs=1000, dataset="images",
            precision=precision, compile=compiled,  # type: ignore[arg-type]
        )  # fmt: skip

    plain, auto, compiled = config("fp32", "off"), config("auto", "off"), config("auto", "on")
    steps = [
        Contestant("batched augmentation", ours, (images, plain, False, False, False)),
        Contestant("+ channels last", ours, (images, plain, True, False, False)),
        Contestant("+ bf16", ours, (images, auto, True, False, False)),
        Contestant("+ allocator", ours, (images, auto, True, True, False)),
        Contestant("+ compile", ours, (images, compiled)),
        Contestant("fused batch norm instead of compile", ours, (images, auto)),
    ]
    if not Runtime(auto).bf16:  # in emulation it would take minutes a step
        steps = [step for step in steps if step.name != "+ bf16"]
    return peers + (steps if ladder else steps[-2:])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=16, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ladder", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--dataset", help="a name, imagefolder:PATH or parquet:PATH; else noise")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()

    images = load(options.dataset, options.data_dir, options.steps * options.batch)
    rows = contestants(images, options.width, options.batch, options.workers, options.ladder)
    scores = race(rows, options.rounds, options.threads)
    packages = [name for name in ("torch", "torchvision", "lightly") if find_spec(name)]
    print(f"{cpu_name()}, {options.threads} threads; {conditions(*packages)}")
    if "lightly" not in packages:
        print("lightly is not installed here (pip install -e '.[bench]')")
    last = rows[-1].arguments
    print(
        f"ResNet-18, width {options.width}, batch {options.batch}, queue {QUEUE}, "
        f"{images.shape[1]} pixels, {'bf16' if Runtime(last[1]).bf16 else 'fp32'}, "
        f"{options.rounds} interleaved rounds of {options.steps} steps"
    )
    print(table(scores, "images/s"))
    for peer in (score for score in scores if score.contestant.note):
        ratios = [own / theirs for own, theirs in zip(scores[-1].rates, peer.rates, strict=True)]
        print(f"last row against {peer.contestant.name}: {min(ratios):.2f}-{max(ratios):.2f}")
    shares = race([Contestant("", augmentation, last)], options.rounds, options.threads)[0].rates
    print("augmentation, % of the step: " + ", ".join(f"{share:.1f}" for share in shares))


if __name__ == "__main__":
    main()
