"""A trial trains and evaluates one config, without Ray. Ray's trainables drive the same object."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple, assert_never

import torch

from trainables import checkpoint
from trainables.config import Role, TrialConfig, fields_with, parse_config, same_setting
from trainables.data.dataset import Dataset, Split, load_dataset
from trainables.data.dataset import Progress as LoadingProgress
from trainables.data.naming import short_name
from trainables.device import flops, memory, world
from trainables.device.runtime import Runtime
from trainables.errors import InputError
from trainables.evaluation import PROBES, features, geometry, knn, per_image
from trainables.evaluation.features import Accuracy, Subject
from trainables.pretraining import Diverged, Pause, Pretraining, Progress
from trainables.streams import stream
from trainables.views.augment import apply_views
from trainables.views.parameters import draw_views

__all__ = ["Diverged", "Result", "Trial"]

ScoredSplit = Literal["validation", "test"]
_MEASURED = 2048  # images on which alignment and uniformity are measured


class Result(NamedTuple):
    """What a finished trial found."""

    trial: dict[str, Any]
    """Columns of the table ``trials`` that the trial itself measures."""
    evaluations: list[dict[str, Any]]
    """Rows of the table ``evaluations``, without ``trial_id``."""


class Trial:
    """One trial.

    Args:
        config: what to train.
        split: the images that score the trial: ``validation`` for tuning, ``test`` for a final
            score. Test images are read for nothing else.
        data_dir: the folder of the data sets.
        loading: called with the progress of reading and decoding images.

    Raises:
        InputError: a data set or the device is missing or does not suit the config, or the device
            has too little memory.
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
        for name in config.eval_datasets:  # before training, since a data set may be missing
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
        """Fingerprint of the data set that the trial trains on."""
        return self.data.fingerprint

    @property
    def steps_per_epoch(self) -> int:
        """Updates of the weights in an epoch."""
        return self.pretraining.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Updates of the weights in the epoch under way; 0 between two epochs."""
        return self.pretraining.steps_done

    @property
    def done(self) -> bool:
        """Whether every epoch is trained."""
        return self.pretraining.done

    def loss_so_far(self) -> float | None:
        """Mean loss of the steps in the epoch under way; None between two epochs."""
        return self.pretraining.loss_so_far()

    def advance(
        self, progress: Progress | None = None, pause: Pause | None = None
    ) -> dict[str, Any] | None:
        """Train to the end of an epoch, or to a pause within it.

        kNN accuracy is measured every ``knn_every`` epochs and after the last. ``progress`` and
        ``pause`` are those of `Pretraining.advance`.

        Returns:
            A row of the table ``epochs``, without ``trial_id``. After a pause None; the next call
            goes on with the same epoch.

        Raises:
            Diverged: the loss is not finite.
            InputError: memory ran out.
        """
        start = time.perf_counter()
        with self._naming_memory():
            row = self.pretraining.advance(progress, pause)
        if row is None:
            self.seconds += time.perf_counter() - start
            return None
        self.loss = row["loss"]
        every = self.config.knn_every
        # Test images may not steer training, so the accuracies on the way are on validation images.
        self.knn_accuracy = None
        if self.done or (every and self.epoch % every == 0):
            self.knn_accuracy = knn.score(self._subject(self.data, self.data.validation)).top1
        self.seconds += time.perf_counter() - start
        seconds = self.seconds - sum(row["seconds"] for row in self.rows)  # pauses left out
        self._measure_memory()
        self.rows.append({**row, "knn_accuracy": self.knn_accuracy, "seconds": seconds})
        return self.rows[-1]

    def finish(self) -> Result:
        """Evaluate the trained encoder; the only place that may read test images."""
        start = time.perf_counter()
        names = (self.config.dataset, *self.config.eval_datasets)
        evaluations = [row for name in names for row in self._evaluate(name)]
        own = {
            row["protocol"]: row for row in evaluations if row["dataset"] == short_name(names[0])
        }
        geometry_columns = self._geometry()
        self.seconds += time.perf_counter() - start
        self._measure_memory()
        scored = {
            "split": self.split,
            "accuracy": own[self.config.probe]["top1"],
            "top5_accuracy": own[self.config.probe]["top5"],
            "knn_accuracy": own["knn"]["top1"],
            "scored_images": own["knn"]["images"],
        }
        return Result({**self.summary(), **scored, **geometry_columns}, evaluations)

    def summary(self) -> dict[str, Any]:
        """Columns of ``trials`` that are known after any epoch; a stopped trial has only these."""
        config, data = self.config, self.data
        hours = self.seconds / 3600
        on_cpu = self.runtime.on_cpu
        images = self.pretraining.images_seen
        return {
            "split": self.split,
            "knn_accuracy": self.knn_accuracy,
            "loss": self.loss,
            "parameters": flops.encoder_parameters(config, data.image_size, data.channels),
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
            "threads": torch.get_num_threads() if on_cpu else None,
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
                "images": {  # an exported encoder needs these to read its input
                    "channels": self.data.channels,
                    "size": self.data.image_size,
                    "fingerprint": self.data.fingerprint,
                    "mean": list(self.data.mean),
                    "std": list(self.data.std),
                },
                "pretraining": self.pretraining.state_dict(),
            },
        )

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of the same config.

        Raises:
            InputError: the checkpoint is missing, damaged, or another trial's; this trial is then
                unchanged.
        """
        state = checkpoint.load(path, self.runtime.device)
        # An older checkpoint lacks newer fields. It was made with what are now their defaults.
        saved = parse_config(state["config"], str(path)).model_dump(mode="json")
        machine = fields_with(Role.MACHINE)
        for field, own in self.config.model_dump(mode="json").items():
            if field not in machine and not same_setting(field, saved[field], own):
                raise InputError(
                    f"{path}: checkpoint of another trial ({field} is "
                    f"{saved[field]!r} in the checkpoint, {own!r} in this trial)"
                )
        checkpoint.check_images(state, path, self.config.dataset, self.data.fingerprint)
        training = self.pretraining
        checkpoint.check_fits(state, path, self.config.epochs, training.method, training.optimizer)
        checkpoint.check_begun(state, path, training.steps_per_epoch, training.begin())
        training.load_state_dict(state["pretraining"])
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
            size = self.data.image_size  # the encoder is trained at this size
        return load_dataset(
            name,
            image_size=size,
            validation_fraction=config.validation_fraction,
            train_fraction=config.train_fraction,
            data_dir=self.data_dir,
            progress=progress,
        )

    def _subject(self, data: Dataset, scored: Split) -> Subject:
        return Subject(self.config, self.pretraining.encoder, data, scored, self.runtime)

    def _features(self, data: Dataset, split: Split) -> features.Features:
        return features.extract(self.pretraining.encoder, split, data, self.runtime)

    def _evaluate(self, name: str) -> list[dict[str, Any]]:
        """Rows of ``evaluations`` on data set ``name``: the kNN vote, and the config's probe."""
        data = self._evaluated[name]
        scored = _scored_images(data, self.split)
        subject = self._subject(data, scored)
        probe = PROBES.find(self.config.probe)
        protocols: dict[str, Callable[[Subject], Accuracy]] = {
            "knn": knn.score,
            probe.name: probe.load(),
        }
        rows = []
        for protocol, score in protocols.items():
            start = time.perf_counter()
            found = score(subject)
            rows.append(
                {
                    "dataset": short_name(name),
                    "split": self.split,
                    "protocol": protocol,
                    "top1": found.top1,
                    "top5": found.top5,
                    "images": len(scored),
                    "seconds": time.perf_counter() - start,
                }
            )
            if found.right is not None and self._is_final(name, protocol):
                rows[-1] |= per_image.columns(found.right, scored.labels, len(data.classes))
        return rows

    def _is_final(self, name: str, protocol: str) -> bool:
        """Whether an evaluation gives the trial's accuracy on test images."""
        own = name == self.config.dataset and protocol == self.config.probe
        return own and self.split == "test"

    @torch.no_grad()
    def _geometry(self) -> dict[str, float]:
        """Alignment, uniformity and effective rank on validation images."""
        data, policy = self.data, self.pretraining.policy
        images = data.validation.images[:_MEASURED].to(self.runtime.device)
        generator = stream(self.config.seed, "measure", device=self.runtime.device)
        embedding = self.pretraining.method.embedding
        embedding.eval()
        vectors = []
        for _ in range(2):
            views = draw_views(len(images), data.image_size, policy, generator)
            normal = self.pretraining.normalise(apply_views(images, views, policy))
            # Call `forward` itself, not the compiled call: two passes are not worth another graph.
            vectors.append(embedding.forward(normal))
        embedding.train()
        return {
            "alignment": geometry.alignment(*vectors),
            "uniformity": geometry.uniformity(vectors[0]),
            "effective_rank": geometry.effective_rank(self._features(data, data.validation).values),
        }


def _scored_images(data: Dataset, split: ScoredSplit) -> Split:
    match split:
        case "validation":
            return data.validation
        case "test":
            return data.test
        case _:
            assert_never(split)


@cache
def software() -> dict[str, str | None]:
    """The versions that a row records: this tool's, its source's, and torch's."""
    try:
        own: str | None = version("mixco-study")
    except PackageNotFoundError:
        own = None  # a source tree that is not installed
    return {"version": own, "git_revision": _git_revision(), "torch_version": torch.__version__}


def _git_revision() -> str | None:
    """Git revision of the source tree, with ``-dirty`` where files differ from it; None without."""
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
