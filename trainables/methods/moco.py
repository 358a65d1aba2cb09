"""MoCo v2 (He et al. 2020; Chen, Fan et al. 2020): a momentum encoder and a queue of keys.

The letters are the papers': q queries, k keys, tau temperature.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.arms.base import Mix
from trainables.config import TrialConfig
from trainables.device import world
from trainables.encoders.embedding import build_embedding
from trainables.methods.losses import info_nce
from trainables.methods.module import ContrastiveMethod, Losses, embed_both, own_part


class MoCo(ContrastiveMethod):
    """Queries of view 1 against keys of view 2 and a queue of earlier keys.

    Arms mix view 1; MixCo's paper does the same.
    """

    passes_with_gradient = 1.0  # queries
    passes_without_gradient = 1.0  # keys
    untrained_copies = 1
    shuffles_keys = True

    def __init__(self, config: TrialConfig, channels: int) -> None:
        super().__init__(config, channels)
        self.key_embedding = build_embedding(config, channels)
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
            mix: makes the arm's extra images of view 1; None for the baseline.
            shuffle: a permutation of the whole batch, [N], by which the keys' images change
                workers, so that no worker's batch norm sees its queries' own keys together.
        """
        config, arm, tau = self.config, self.arm, self.config.temperature
        mixture = own_part(mix(world.gather(view1))) if mix else None
        with torch.no_grad():
            k = self._keys(view2, shuffle)
        self.fresh_keys = keys = world.gather(k)

        if mixture is None:
            contrastive = info_nce(self.embedding(view1), k, self.queue, tau)
            return Losses(contrastive, contrastive, None)
        if arm.replaces_contrastive:
            q_mix = self.embedding(mixture.images)
            mixing = arm.loss_with_queue(q_mix, mixture, keys, self.queue, config)
            return Losses(mixing, None, mixing)
        (q,), (q_mix,) = embed_both(self.embedding, [view1], [mixture.images], config)
        contrastive = info_nce(q, k, self.queue, tau)
        mixing = arm.loss_with_queue(q_mix, mixture, keys, self.queue, config)
        return self.joined(contrastive, mixing)

    def before_step(self) -> None:
        self.update_keys()

    def after_step(self) -> None:
        self.enqueue()

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

    @classmethod
    def other_values(cls, config: TrialConfig, images: int) -> dict[str, int]:
        logits = images * (1 + config.queue_size)  # and their gradient
        return {"queue and logits": config.queue_size * config.projection_dim + 2 * logits}

    def _keys(self, view2: Tensor, shuffle: Tensor | None) -> Tensor:
        """This worker's keys, [n, D] (shuffling batch norm: He et al. 2020, section 3.3)."""
        if shuffle is None:
            return self.key_embedding(view2)
        part = world.part(len(shuffle))
        k = self.key_embedding(world.gather(view2)[shuffle[part]])
        return world.gather(k)[shuffle.argsort()[part]]
