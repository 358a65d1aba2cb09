"""BYOL as a method of one's own, with mixing after i-Mix.

BYOL (Grill et al. 2020, arXiv:2006.07733) has no negatives: a predictor on top of the online
network predicts what a target network, a moving average of the online one, makes of the other view.
i-Mix (Lee et al. 2021, arXiv:2010.08887, section 3.3) mixes an image with another one of the batch
and predicts the mixture of their targets, with the same share.

    mixco check method byol:BYOL
    mixco study run digits.yaml
    mixco report results/byol-digits
"""

import torch
from torch import Tensor, nn

from trainables.arms.base import Mix
from trainables.arms.mixture import Mixture
from trainables.config import TrialConfig
from trainables.device import world
from trainables.encoders.embedding import build_embedding
from trainables.methods.module import ContrastiveMethod, Losses, embed_both, own_part


class BYOL(ContrastiveMethod):
    """BYOL: a predictor and a target network, no negatives (Grill et al. 2020)."""

    fields = ("key_momentum",)  # of the target network; searched as MoCo's
    mix_batch_norm = "separate"
    passes_with_gradient = 1.0  # view 1 online; half of the symmetric loss, half of the work
    passes_without_gradient = 1.0  # view 2 through the target network
    untrained_copies = 1

    def __init__(self, config: TrialConfig, channels: int) -> None:
        super().__init__(config, channels)
        self.target = build_embedding(config, channels)
        self.target.load_state_dict(self.embedding.state_dict())
        self.target.requires_grad_(False)
        dim = config.projection_dim
        self.predictor = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(
        self, view1: Tensor, view2: Tensor, mix: Mix | None, shuffle: Tensor | None = None
    ) -> Losses:
        """The losses of one step on this worker's views, [n, C, H, W]."""
        with torch.no_grad():
            z = self.target(view2)  # what view 1 should predict, [n, D]
        if mix is None:
            loss = self.distance(self.embedding(view1), z)
            return Losses(loss, loss, None)
        mixture = own_part(mix(world.gather(view1)))
        mixed_z = mixed_targets(world.gather(z), mixture)
        if self.arm.replaces_contrastive:
            mixing = self.distance(self.embedding(mixture.images), mixed_z)
            return Losses(mixing, None, mixing)
        (q,), (q_mix,) = embed_both(self.embedding, [view1], [mixture.images], self.config)
        return self.joined(self.distance(q, z), self.distance(q_mix, mixed_z))

    def distance(self, online: Tensor, target: Tensor) -> Tensor:
        """2 - 2 cos of the prediction and the target, where the target is a unit vector."""
        prediction = nn.functional.normalize(self.predictor(online), dim=1)
        return 2 - 2 * (prediction * target).sum(1).mean()

    def trained_parameters(self) -> list[nn.Parameter]:
        """The online network and its predictor."""
        return [*self.embedding.parameters(), *self.predictor.parameters()]

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the target network: target = m target + (1 - m) online."""
        torch._foreach_lerp_(
            list(self.target.parameters()),
            list(self.embedding.parameters()),
            1 - self.config.key_momentum,
        )


def mixed_targets(z: Tensor, mixture: Mixture) -> Tensor:
    """lambda z_first + (1 - lambda) z_second for each mixed image, [M, D].

    The distance is linear in its target. So this is the mixture of the two distances.
    """
    return torch.lerp(z[mixture.second], z[mixture.first], mixture.share[:, None].to(z.dtype))
