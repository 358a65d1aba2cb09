"""Pretraining: one config on one data set, trained an epoch at a time, restorable after each step.

This module knows nothing of studies, tuners or files. `trial.py` and the Ray trainables drive it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from trainables.arms.base import Draws, Mix
from trainables.begun_epoch import BegunEpoch
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.device import grouped_norm, small_maps, synced_norm, world
from trainables.device.runtime import Runtime
from trainables.encoders.embedding import Embedding, Encoder
from trainables.errors import InputError
from trainables.methods.module import build_method
from trainables.streams import stream
from trainables.views.augment import apply_views
from trainables.views.parameters import Views, draw_views
from trainables.views.policy import policy_of


class Diverged(FloatingPointError):  # noqa: N818
    """The loss is not finite. It would not become finite again in the rest of the trial."""


Batch = tuple[Tensor, Tensor, Mix | None]
"""This worker's two views, normalised, and what makes the arm's extra images, if it makes any."""
Progress = Callable[[int, int], None]
"""Called after each step: (number of the step in its epoch, from 1; steps in an epoch)."""
Pause = Callable[[], bool]
"""Asked after each step: whether to pause, so that the trial can be saved."""


class Pretraining:
    """The contrastive training of one trial.

    Args:
        config: the trial.
        data: its data set; only its training images are read.
        runtime: device, precision and compilation, resolved.

    ``advance`` trains an epoch and returns its row. After an epoch, or where ``advance`` pauses
    within one, ``state_dict`` gives what ``load_state_dict`` needs to continue bit for bit on a
    machine of the same kind.
    """

    def __init__(self, config: TrialConfig, data: Dataset, runtime: Runtime) -> None:
        if config.batch_size > len(data.train):
            raise InputError(
                f"batch_size: {config.batch_size} exceeds the {len(data.train)} training images "
                f"of {data.name}"
            )
        if config.batch_size % (4 * world.size()) and world.size() > 1:
            raise InputError(
                f"batch_size: {config.batch_size} must be a multiple of {4 * world.size()} "
                f"(four for each of {world.size()} workers)"
            )
        if config.batch_norm_groups > 1 and config.batch_norm_groups % world.size():
            raise InputError(
                f"batch_norm_groups: {config.batch_norm_groups} must be a multiple of the "
                f"{world.size()} workers"
            )
        self.config, self.data, self.runtime = config, data, runtime
        self.epoch = 0
        self._begun: BegunEpoch | None = None  # the epoch under way
        self.policy = policy_of(config, data)
        self.steps_per_epoch = len(data.train) // config.batch_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(config.seed, "weights").initial_seed())
            sized = config.model_copy(update={"image_size": data.image_size})
            self.method = build_method(sized, data.channels)
        self.method.to(runtime.device).to(memory_format=runtime.memory_format)
        if runtime.on_cpu and runtime.bf16:
            small_maps.guard(self.method)
        if grouped_norm.own_groups(config) > 1:
            grouped_norm.split(self.method, grouped_norm.own_groups(config))
        elif world.size() > 1 and not self._has_own_statistics:
            synced_norm.synchronise(self.method, runtime.on_cpu)
        self.optimizer = torch.optim.SGD(
            self.method.trained_parameters(),
            lr=config.learning_rate,
            momentum=config.sgd_momentum,
            weight_decay=config.weight_decay,
        )
        for module in self.method.modules():
            if isinstance(module, Embedding):
                runtime.compile_(module)
        self._images = data.train.images if runtime.on_cpu else data.train.images.to(runtime.device)
        mean, std = torch.tensor((data.mean, data.std), device=runtime.device)[..., None, None]
        self._scale, self._shift = 1 / std, -mean / std

    @property
    def encoder(self) -> Encoder:
        """The encoder that is trained, without its projection head."""
        return self.method.embedding.encoder

    @property
    def done(self) -> bool:
        """Whether every epoch of the config is trained."""
        return self.epoch >= self.config.epochs

    @property
    def images_seen(self) -> int:
        """Training images seen so far; an image counts once in each epoch."""
        return self.epoch * self.steps_per_epoch * self.config.batch_size

    @property
    def steps_done(self) -> int:
        """Steps done of the epoch under way; 0 between two epochs."""
        return self._begun.steps if self._begun else 0

    def advance(
        self, progress: Progress | None = None, pause: Pause | None = None
    ) -> dict[str, Any] | None:
        """Train to the end of an epoch, or to a pause within it.

        Args:
            progress: called after each step.
            pause: asked after each step. On one worker only: several would have to answer alike,
                and a saved state holds the batch-norm averages of one.

        Returns:
            The epoch's row: epoch, loss, contrastive_loss, mixing_loss, learning_rate, images,
            images_per_second. After a pause None; the next call goes on with the same epoch.

        Raises:
            Diverged: the loss is not finite.
        """
        assert pause is None or world.size() == 1
        start = time.perf_counter()
        self.method.train()
        self._begun = begun = self._begun or self.begin()
        done = self.epoch * self.steps_per_epoch
        for batch in self._batches(begun):
            begun.sums += self._step(done + begun.steps, *batch)
            begun.steps += 1
            if progress:
                progress(begun.steps, self.steps_per_epoch)
            if pause and pause():
                begun.sums.tolist()  # waits until a GPU has done these steps: their time is counted
                begun.seconds += time.perf_counter() - start
                return None
        world.average_([begun.sums, *self._own_averages()])
        losses = (begun.sums / self.steps_per_epoch).tolist()
        begun.seconds += time.perf_counter() - start
        self._begun = None
        return self._row(losses, begun.seconds)

    def _row(self, losses: list[float], seconds: float) -> dict[str, Any]:
        """Ends an epoch with mean losses (total, contrastive, mixing); returns its row."""
        loss, contrastive, mixed = losses
        self.epoch += 1
        if not math.isfinite(loss):
            raise Diverged(f"loss is {loss} in epoch {self.epoch}")
        config, arm = self.config, self.method.arm
        return {
            "epoch": self.epoch,
            "loss": loss,
            "contrastive_loss": None if arm.replaces_contrastive else contrastive,
            "mixing_loss": mixed if arm.makes_images else None,
            "learning_rate": self.learning_rate(self.epoch * self.steps_per_epoch - 1),
            "images": self.images_seen,
            "images_per_second": self.steps_per_epoch * config.batch_size / seconds,
        }

    def loss_so_far(self) -> float | None:
        """Mean loss of this worker's steps in the epoch under way; None between two epochs.

        Copies a value from the device: a GPU waits for it, so do not ask after every step.
        """
        begun = self._begun
        return None if begun is None or not begun.steps else float(begun.sums[0]) / begun.steps

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine to zero; ``step`` counts from 0 over the trial."""
        config = self.config
        warmup = config.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return config.learning_rate * (step + 1) / warmup
        total = config.epochs * self.steps_per_epoch
        return (
            config.learning_rate
            * 0.5
            * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        )

    def normalise(self, images: Tensor) -> Tensor:
        """Images in 0..1, [N, C, H, W], with the training images' mean 0 and deviation 1."""
        normal = torch.addcmul(self._shift, images, self._scale)
        return normal.contiguous(memory_format=self.runtime.memory_format)

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **({"begun": self._begun.state_dict()} if self._begun else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a ``state_dict`` of the same config."""
        self.epoch = state["epoch"]
        self._begun = None
        if begun := state.get("begun"):
            self._begun = self.begin()
            self._begun.load_state_dict(begun)
        self.method.load_state_dict(state["method"])
        own, saved = self.optimizer.state_dict()["param_groups"], state["optimizer"]
        # Settings that the torch of the checkpoint did not know keep this trial's values.
        groups = [
            {**mine, **theirs} for mine, theirs in zip(own, saved["param_groups"], strict=True)
        ]
        self.optimizer.load_state_dict({**saved, "param_groups": groups})

    def begin(self) -> BegunEpoch:
        """The present epoch at its start."""
        return BegunEpoch(self.config, self.epoch, len(self._images), self.runtime.device)

    def _batches(self, begun: BegunEpoch | None = None) -> Iterator[Batch]:
        """The batch of each step to come.

        Every worker draws for the whole batch, so that results do not depend on how many workers
        there are.

        Args:
            begun: the epoch; default: the present one from its start.
        """
        begun = begun or self.begin()
        streams = begun.generators
        n, part = self.config.batch_size, world.part(self.config.batch_size)
        for step in range(begun.steps, self.steps_per_epoch):
            rows = begun.order[step * n : (step + 1) * n]
            images = self._images[rows[part]]
            views = [
                draw_views(n, self.data.image_size, self.policy, streams[name])
                for name in ("view1", "view2")
            ]
            if world.size() > 1:
                views = [view.rows(part.start, part.stop) for view in views]
            view1, view2 = (self._view(images, view) for view in views)
            yield view1, view2, self._mix(rows, streams["mixing"])

    def _view(self, images: Tensor, views: Views) -> Tensor:
        # Arms may make further views inside the step, where autocast is on and would round them.
        with torch.autocast(self.runtime.device.type, enabled=False):
            return self.normalise(apply_views(images, views, self.policy))

    def _mix(self, rows: Tensor, generator: torch.Generator) -> Mix | None:
        """The `Mix` that makes the extra images of the batch ``rows``; None for the baseline."""

        def new_view(count: int) -> Tensor:
            views = draw_views(count, self.data.image_size, self.policy, generator)
            return self._view(self._images[rows[:count]], views)

        return self.method.arm.mixer(self.config, Draws(generator, new_view))

    def _shuffle(self, step: int) -> Tensor | None:
        """The order in which the images of keys are embedded, [N]; None for their own order.

        They change places where parts of the batch have batch-norm statistics of their own.
        """
        config, device = self.config, self.runtime.device
        if not (self._has_own_statistics and self.method.shuffles_keys):
            return None
        generator = stream(config.seed, "shuffle", step, device)
        return torch.randperm(config.batch_size, generator=generator, device=device)

    @property
    def _has_own_statistics(self) -> bool:
        """Whether parts of the batch have batch-norm statistics of their own."""
        by_worker = world.size() > 1 and not self.config.sync_batch_norm
        return by_worker or self.config.batch_norm_groups > 1

    def _own_averages(self) -> list[Tensor]:
        """Running averages that differ between workers."""
        if world.size() == 1 or not self._has_own_statistics:
            return []
        return [buffer for name, buffer in self.method.named_buffers() if ".running_" in name]

    def _step(self, step: int, view1: Tensor, view2: Tensor, mix: Mix | None) -> Tensor:
        """One update of the weights; the losses, [3], stay on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        self.method.before_step()
        with self.runtime.autocast():
            losses = self.method(view1, view2, mix, self._shuffle(step))
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        gradients = [p.grad for p in self.method.trained_parameters() if p.grad is not None]
        world.average_(gradients)
        self.optimizer.step()
        self.method.after_step()
        parts = [part if part is not None else losses.total.new_zeros(()) for part in losses]
        return torch.stack(parts).detach().float()
