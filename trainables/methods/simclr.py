"""SimCLR (Chen, Kornblith et al. 2020): each view against the other, over the batch.

The letters are the paper's: z embeddings, tau temperature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.arms.base import Mix
from trainables.device import world
from trainables.methods.losses import nt_xent
from trainables.methods.module import ContrastiveMethod, Losses, embed, embed_both, own_part


class SimCLR(ContrastiveMethod):
    """NT-Xent over the batch.

    Arms mix each view in turn; its extra images are compared with the other view's embeddings.
    """

    passes_with_gradient = 2.0  # both views
    mixed_views = 2

    def forward(
        self, view1: Tensor, view2: Tensor, mix: Mix | None, shuffle: Tensor | None = None
    ) -> Losses:
        """The losses of one step; arguments as in `ContrastiveMethod`. There are no keys."""
        config, arm = self.config, self.arm
        if mix is None:
            contrastive = self._nt_xent(torch.cat(embed(self.embedding, [view1, view2], config)))
            return Losses(contrastive, contrastive, None)
        mixture1 = own_part(mix(world.gather(view1)))
        if arm.replaces_contrastive:
            z1_mix, z2 = embed(self.embedding, [mixture1.images, view2], config)
            mixing = arm.loss_in_batch(z1_mix, mixture1, world.gather_with_gradient(z2), config)
            return Losses(mixing, None, mixing)
        mixture2 = own_part(mix(world.gather(view2)))
        both_z, (z1_mix, z2_mix) = embed_both(
            self.embedding, [view1, view2], [mixture1.images, mixture2.images], config
        )
        z = torch.cat(both_z)
        contrastive = self._nt_xent(z)
        z1, z2 = (world.gather_with_gradient(rows) for rows in z.chunk(2))
        mixing = 0.5 * (
            arm.loss_in_batch(z1_mix, mixture1, z2, config)
            + arm.loss_in_batch(z2_mix, mixture2, z1, config)
        )
        return self.joined(contrastive, mixing)

    def _nt_xent(self, z: Tensor) -> Tensor:
        z1, z2 = z.chunk(2)
        everyone = torch.cat([world.gather_with_gradient(z1), world.gather_with_gradient(z2)])
        return nt_xent(z, everyone, world.rank() * len(z1), self.config.temperature)
