"""A trial: a config from start to result. No Ray; local runs and Ray's trainables drive this."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from trainables import checkpoint
from trainables.config import TrialConfig, parse_config
from trainables.data.dataset import Dataset, Split, load_dataset
from trainables.data.dataset import Progress as LoadingProgress
from trainables.device import flops, memory, world
from trainables.device.runtime import Runtime
from trainables.errors import InputError
from trainables.evaluation import measures
from trainables.evaluation.linear_sgd import linear_sgd
from trainables.pretraining import Diverged, Pretraining, Progress
from trainables.streams import stream
from trainables.views.augment import apply_views
from trainables.views.parameters import draw_views

__all__ = ["Diverged", "Result", "Trial"]

ScoredSplit = Literal["validation", "test"]
_MEASURED = 2048  # images on which alignment and uniformity are measured


class Result(NamedTuple):
    """What a finished trial found."""

    trial: dict[str, Any]
    """Columns of the table ``trials`` that a trial knows of itself."""
    evaluations: list[dict[str, Any]]
    """Rows of the table ``evaluations``, without ``trial_id``."""


class Trial:
    """One trial.

    Args:
        config: what to train.
        split: the images that score it: ``validation`` while tuning; ``test`` is read for no
            other purpose than a final score.
        data_dir: where data sets are.
        loading: told how far the reading and decoding of images is.

    Raises:
        InputError: a data set or the device is not there, does not suit the config, or has too
            little memory for it.
    """

    def __init__(
        self,
        config: TrialConfig,
        split: ScoredSplit = "test",
        data_dir: Path | None = None,
        loading: LoadingProgress | None = None,
    ) -> None:
        self.config, self.split = config, split
        self.data_dir = data_dir
        self.data = self._load(config.dataset, loading)
        self._evaluated = {config.dataset: self.data}
        for name in config.eval_datasets:  # now, not when all is trained: it may not be there
            self._evaluated[name] = self._load(name, loading)
            if self._evaluated[name].channels != self.data.channels:
                raise InputError(
                    f"eval_datasets: {name} has {self._evaluated[name].channels} channels, the "
                    f"encoder is trained on {self.data.channels} ({config.dataset})"
                )
        size, channels = self.data.image_size, self.data.channels
        self._flops_per_image = flops.training_flops(config, size, channels)
        self.runtime = Runtime(config)
        memory.check(config, self.data, self.runtime)
        with self._naming_memory():
            self.pretraining = Pretraining(config, self.data, self.runtime)
        self.started_at = datetime.now(UTC)
        self.seconds = 0.0
        self.loss: float | None = None
        self.knn_accuracy: float | None = None
        self.rows: list[dict[str, Any]] = []  # of the epochs so far
        self.peak_memory: int | None = None  # bytes, of the worker that took most

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.pretraining.epoch

    def data_fingerprint(self) -> str:
        """Of the data set it trains on."""
        return self.data.fingerprint

    @property
    def steps_per_epoch(self) -> int:
        """Updates of the weights in an epoch."""
        return self.pretraining.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether every epoch is trained."""
        return self.pretraining.done

    def advance(self, progress: Progress | None = None) -> dict[str, Any]:
        """Train one epoch, and measure kNN accuracy where ``knn_every`` says so.

        Returns:
            A row of the table ``epochs``, without ``trial_id``.

        Raises:
            Diverged: the loss is not finite.
            InputError: memory ran out.
        """
        start = time.perf_counter()
        with self._naming_memory():
            row = self.pretraining.advance(progress)
        self.loss = row["loss"]
        every = self.config.knn_every
        # The split that scores the end may not steer the way there: the monitor sees validation.
        self.knn_accuracy = None
        if self.done or (every and self.epoch % every == 0):
            self.knn_accuracy = self._knn(self.data.validation).top1
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self._measure_memory()
        self.rows.append({**row, "knn_accuracy": self.knn_accuracy, "seconds": seconds})
        return self.rows[-1]

    def finish(self) -> Result:
        """Evaluate the trained encoder; the only place that may read test images."""
        start = time.perf_counter()
        names = (self.config.dataset, *self.config.eval_datasets)
        evaluations = [row for name in names for row in self._evaluate(name)]
        own = {row["protocol"]: row for row in evaluations if row["dataset"] == names[0]}
        measures = self._measure()
        self.seconds += time.perf_counter() - start
        self._measure_memory()
        scored = {
            "split": self.split,
            "accuracy": own[self.config.probe]["top1"],
            "top5_accuracy": own[self.config.probe]["top5"],
            "knn_accuracy": own["knn"]["top1"],
            "scored_images": own["knn"]["images"],
        }
        return Result({**self.summary(), **scored, **measures}, evaluations)

    def summary(self) -> dict[str, Any]:
        """What is known at any time, and all there is of a trial that was stopped."""
        config, data = self.config, self.data
        hours = self.seconds / 3600
        on_cpu = self.runtime.on_cpu
        images = self.pretraining.images_seen
        return {
            "split": self.split,
            "knn_accuracy": self.knn_accuracy,
            "loss": self.loss,
            "parameters": flops.encoder_parameters(config, data.channels),
            "encoder_flops": flops.encoder_flops(config, data.image_size, data.channels),
            "flops": self._flops_per_image * images,
            "epochs_done": self.epoch,
            "images": images,
            "seconds": self.seconds,
            "gpu_hours": 0.0 if on_cpu else hours * world.size(),
            "cpu_hours": hours * torch.get_num_threads() * world.size(),
            "peak_memory": self.peak_memory or self.runtime.peak_memory(),
            "device_memory": self.runtime.device_memory(),
            "train_images": len(data.train),
            "classes": len(data.classes),
            "data_fingerprint": data.fingerprint,
            "workers": world.size(),
            "hardware": self.runtime.hardware(),
            "hostname": socket.gethostname(),
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
            **software(),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint from which ``restore`` continues bit for bit."""
        checkpoint.save(
            path,
            {
                "config": self.config.model_dump(mode="json"),
                "split": self.split,
                "seconds": self.seconds,
                "loss": self.loss,
                "knn_accuracy": self.knn_accuracy,
                "rows": self.rows,
                "images": {  # what an exported encoder must know of its input
                    "channels": self.data.channels,
                    "size": self.data.image_size,
                    "mean": list(self.data.mean),
                    "std": list(self.data.std),
                },
                "pretraining": self.pretraining.state_dict(),
            },
        )

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of the same config.

        Raises:
            InputError: missing, damaged, or another trial's; the trial is as it was.
        """
        state = checkpoint.load(path, self.runtime.device)
        # An older checkpoint lacks later fields: it was made with what are now their defaults.
        there = parse_config(state["config"], str(path)).model_dump(mode="json")
        for field, own in self.config.model_dump(mode="json").items():
            if field not in ("device", "precision", "compile") and there[field] != own:
                raise InputError(
                    f"{path}: checkpoint of another trial ({field} is "
                    f"{there[field]!r} there, {own!r} here)"
                )
        self.pretraining.load_state_dict(state["pretraining"])
        self.seconds, self.loss = state["seconds"], state["loss"]
        self.knn_accuracy, self.rows = state["knn_accuracy"], state["rows"]

    def _measure_memory(self) -> None:
        own = torch.tensor([[self.runtime.peak_memory()]], device=self.runtime.device)
        self.peak_memory = int(world.gather(own).max())

    def _naming_memory(self) -> contextlib.AbstractContextManager[None]:
        return memory.named(self.config, self.data, self.runtime)

    def _load(self, name: str, progress: LoadingProgress | None) -> Dataset:
        config = self.config
        size = config.image_size
        if name != config.dataset and size is None:
            size = self.data.image_size  # the encoder was trained at this size
        return load_dataset(
            name,
            image_size=size,
            validation_fraction=config.validation_fraction,
            data_dir=self.data_dir,
            progress=progress,
        )

    def _features(self, data: Dataset, split: Split) -> measures.Features:
        return measures.extract(self.pretraining.encoder, split, data, self.runtime)

    def _knn(self, scored: Split) -> measures.Accuracy:
        bank = self._features(self.data, self.data.train)
        queries = self._features(self.data, scored)
        config = self.config
        return measures.knn(
            bank, queries, len(self.data.classes), config.knn_k, config.knn_temperature
        )

    def _evaluate(self, name: str) -> list[dict[str, Any]]:
        """One row for each protocol on data set ``name``."""
        config = self.config
        data = self._evaluated[name]
        scored = data.validation if self.split == "validation" else data.test
        classes = len(data.classes)
        start = time.perf_counter()
        train, queries = self._features(data, data.train), self._features(data, scored)
        rows = []

        def add(protocol: str, found: measures.Accuracy) -> None:
            nonlocal start
            seconds = time.perf_counter() - start
            start = time.perf_counter()
            rows.append(
                {
                    "dataset": name,
                    "split": self.split,
                    "protocol": protocol,
                    "top1": found.top1,
                    "top5": found.top5,
                    "images": len(scored),
                    "seconds": seconds,
                }
            )

        vote = measures.knn(train, queries, classes, config.knn_k, config.knn_temperature)
        add("knn", vote)
        if config.probe == "linear":
            add("linear", measures.linear(train, queries, classes))
        else:
            encoder = self.pretraining.encoder
            add("linear_sgd", linear_sgd(encoder, data, scored, self.runtime, config.seed))
        return rows

    @torch.no_grad()
    def _measure(self) -> dict[str, float]:
        """Alignment, uniformity and effective rank on validation images."""
        data, policy = self.data, self.pretraining.policy
        images = data.validation.images[:_MEASURED].to(self.runtime.device)
        generator = stream(self.config.seed, "measure", device=self.runtime.device)
        embedding = self.pretraining.method.embedding
        embedding.eval()
        vectors = []
        for _ in range(2):  # by `forward`: two passes are not worth compiling another graph
            views = draw_views(len(images), data.image_size, policy, generator)
            vectors.append(
                embedding.forward(self.pretraining.normalise(apply_views(images, views, policy)))
            )
        embedding.train()
        features = self._features(data, data.validation).values
        return {
            "alignment": measures.alignment(*vectors),
            "uniformity": measures.uniformity(vectors[0]),
            "effective_rank": measures.effective_rank(features),
        }


@cache
def software() -> dict[str, str | None]:
    """Versions that a row records: of this tool, its source, and torch."""
    try:
        own: str | None = version("mixco-study")
    except PackageNotFoundError:
        own = None  # run from a source tree that is not installed
    return {"version": own, "git_revision": _git_revision(), "torch_version": torch.__version__}


def _git_revision() -> str | None:
    """Revision of the source tree this runs from, with ``-dirty`` where files differ from it."""
    folder = Path(__file__).resolve().parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        output = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return output.stdout.strip()
