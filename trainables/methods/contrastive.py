"""MoCo v2 and SimCLR, and the loss that mixing adds: two views in, loss out.

The letters are the papers': q queries, k keys, z embeddings, tau temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.arms.mixing import Mixture
from trainables.config import TrialConfig
from trainables.device import world
from trainables.encoders.resnet import Embedding, Projection, ResNet
from trainables.methods.losses import info_nce, nt_xent, soft_cross_entropy

Mix = Callable[[Tensor], Mixture]
"""The arm: extra images made from one view of the whole batch, [N, C, H, W]."""


class Losses(NamedTuple):
    """What a step minimises, and its parts (0-dimensional tensors)."""

    total: Tensor
    contrastive: Tensor | None
    mixing: Tensor | None  # before mix_weight


class MoCo(nn.Module):
    """MoCo v2 (He et al. 2020; Chen, Fan et al. 2020): a momentum encoder and a queue of keys."""

    def __init__(self, config: TrialConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = _embedding(config, channels)
        self.key_embedding = _embedding(config, channels)
        self.key_embedding.load_state_dict(self.embedding.state_dict())
        self.key_embedding.requires_grad_(False)
        queue = torch.randn(config.queue_size, config.projection_dim)
        self.queue: Tensor
        self.pointer: Tensor
        self.register_buffer("queue", nn.functional.normalize(queue, dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def forward(
        self, view1: Tensor, view2: Tensor, mix: Mix | None, shuffle: Tensor | None = None
    ) -> Losses:
        """The losses of one step.

        Args:
            view1, view2: this worker's views, [n, C, H, W].
            mix: the arm, or None for the baseline.
            shuffle: a permutation of the whole batch, [N], by which the keys' images change
                workers, so that no worker's batch norm sees its queries' own keys together.

        ``update_keys`` and ``enqueue`` complete the step.
        """
        config, tau = self.config, self.config.temperature
        mixture = _own(mix(world.gather(view1))) if mix else None
        with torch.no_grad():
            k = self._keys(view2, shuffle)
        keys = world.gather(k)
        self.fresh_keys = keys

        if mixture is None:
            contrastive = info_nce(self.embedding(view1), k, self.queue, tau)
            return Losses(contrastive, contrastive, None)
        targets = mixture.targets(len(keys))
        if config.arm == "i-mix":  # Lee et al. 2021, eq. 5: the mixed loss in the clean one's place
            logits = self.embedding(mixture.images) @ torch.cat([keys, self.queue]).T / tau
            mixing = soft_cross_entropy(logits, targets)
            return Losses(mixing, None, mixing)
        q, q_mix = _embed_apart(self.embedding, view1, mixture.images, config.separate_batch_norm)
        contrastive = info_nce(q, k, self.queue, tau)
        if (
            config.arm == "un-mix"
        ):  # Shen et al. 2022, eq. 4: lambda of one key, the rest of the other
            first, second = keys[mixture.first], keys[mixture.second]
            share = mixture.share[0]
            mixing = share * info_nce(q_mix, first, self.queue, tau)
            mixing = mixing + (1 - share) * info_nce(q_mix, second, self.queue, tau)
        else:
            logits = q_mix @ torch.cat([keys, self.queue]).T / config.mix_temperature
            mixing = soft_cross_entropy(logits, targets)
        return Losses(contrastive + config.mix_weight * mixing, contrastive, mixing)

    def _keys(self, view2: Tensor, shuffle: Tensor | None) -> Tensor:
        """This worker's keys, [n, D] (shuffling batch norm: He et al. 2020, section 3.3)."""
        if shuffle is None:
            return self.key_embedding(view2)
        part = world.part(len(shuffle))
        k = self.key_embedding(world.gather(view2)[shuffle[part]])
        return world.gather(k)[shuffle.argsort()[part]]

    @torch.no_grad()
    def update_keys(self) -> None:
        """Move the key encoder: key = m key + (1 - m) query."""
        torch._foreach_lerp_(
            list(self.key_embedding.parameters()),
            list(self.embedding.parameters()),
            1 - self.config.key_momentum,
        )

    @torch.no_grad()
    def enqueue(self) -> None:
        """Overwrite the oldest keys with this step's: any batch size, around the queue's end."""
        size = len(self.queue)
        keys = self.fresh_keys[-size:]
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.queue.index_copy_(0, places, keys)
        self.pointer.copy_((self.pointer + len(keys)) % size)


class SimCLR(nn.Module):
    """SimCLR (Chen, Kornblith et al. 2020): NT-Xent over the batch."""

    def __init__(self, config: TrialConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = _embedding(config, channels)

    def forward(
        self, view1: Tensor, view2: Tensor, mix: Mix | None, shuffle: None = None
    ) -> Losses:
        """The losses of one step; arguments as for MoCo, without keys to shuffle.

        Each view is mixed in turn and compared with the other view's embeddings.
        """
        config, tau = self.config, self.config.temperature
        if mix is None:
            contrastive = self._nt_xent(self._embed(view1, view2))
            return Losses(contrastive, contrastive, None)
        mixture1 = _own(mix(world.gather(view1)))
        if config.arm == "i-mix":  # Lee et al. 2021, eq. 3 and 5: the N-pair form of the loss
            z1_mix, z2 = self._embed(mixture1.images, view2).chunk(2)
            candidates = world.gather_with_gradient(z2)
            mixing = soft_cross_entropy(
                z1_mix @ candidates.T / tau, mixture1.targets(len(candidates))
            )
            return Losses(mixing, None, mixing)
        mixture2 = _own(mix(world.gather(view2)))
        z, z_mix = _embed_apart(
            self.embedding,
            torch.cat([view1, view2]),
            torch.cat([mixture1.images, mixture2.images]),
            config.separate_batch_norm,
        )
        contrastive = self._nt_xent(z)
        z1, z2 = (world.gather_with_gradient(rows) for rows in z.chunk(2))
        z1_mix, z2_mix = z_mix.chunk(2)
        mix_tau = tau if config.arm == "un-mix" else config.mix_temperature
        mixing = 0.5 * (
            soft_cross_entropy(z1_mix @ z2.T / mix_tau, mixture1.targets(len(z2)))
            + soft_cross_entropy(z2_mix @ z1.T / mix_tau, mixture2.targets(len(z1)))
        )
        return Losses(contrastive + config.mix_weight * mixing, contrastive, mixing)

    def _embed(self, images1: Tensor, images2: Tensor) -> Tensor:
        return self.embedding(torch.cat([images1, images2]))

    def _nt_xent(self, z: Tensor) -> Tensor:
        z1, z2 = z.chunk(2)
        everyone = torch.cat([world.gather_with_gradient(z1), world.gather_with_gradient(z2)])
        return nt_xent(z, everyone, world.rank() * len(z1), self.config.temperature)


def build(config: TrialConfig, channels: int) -> MoCo | SimCLR:
    """The config's method, its weights drawn from torch's global generator."""
    return MoCo(config, channels) if config.method == "moco" else SimCLR(config, channels)


def _embedding(config: TrialConfig, channels: int) -> Embedding:
    encoder = ResNet(config.encoder, config.width, config.stem, channels)
    return Embedding(encoder, Projection(encoder.features, config.projection_dim))


def _own(mixture: Mixture) -> Mixture:
    """This worker's part of the whole batch's mixtures."""
    part = world.part(len(mixture.images))
    return mixture.rows(part.start, part.stop)


def _embed_apart(
    embedding: Embedding, clean: Tensor, mixed: Tensor, separate: bool
) -> tuple[Tensor, Tensor]:
    """Embeddings of clean and mixed images, normalised as one batch or each by its own statistics.

    Apart, the running averages, which the probe uses later, stay those of the clean images.
    """
    if not separate:
        both = embedding(torch.cat([clean, mixed]))
        return both[: len(clean)], both[len(clean) :]
    z = embedding(clean)
    with _running_averages_kept(embedding):
        return z, embedding(mixed)


@contextmanager
def _running_averages_kept(module: nn.Module) -> Iterator[None]:
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
