"""Batch norm over groups of a batch: on one worker what several workers would compute.

MoCo trains on several GPUs, each with batch-norm statistics of its own images (He et al. 2020,
section 3.3). A worker that splits its batch into groups does the same on one device. Weights and
running averages keep their names, so a checkpoint fits any number of groups.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.device import norms, world


def own_groups(config: TrialConfig) -> int:
    """How many of the config's groups this worker has."""
    return max(1, config.batch_norm_groups // world.size())


def split(module: nn.Module, groups: int) -> None:
    """Replace every BatchNorm2d inside ``module`` by one over each of ``groups`` groups."""

    def grouped(child: nn.Module) -> nn.Module | None:
        if not isinstance(child, nn.BatchNorm2d):
            return None
        return norms.with_activation_of(child, GroupedBatchNorm2d.like(child, groups))

    norms.replace(module, grouped)


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over each of ``groups`` equal parts of the batch, one after the other.

    The running averages move by the mean of the groups' statistics: they are the mean of the
    averages that the groups would have if each were a worker.
    """

    groups = 1

    @classmethod
    def like(cls, norm: nn.BatchNorm2d, groups: int) -> GroupedBatchNorm2d:
        """A grouped batch norm that shares the weights and running averages of ``norm``."""
        grouped = cls(norm.num_features, norm.eps, norm.momentum)
        grouped.groups = groups
        norms.share(grouped, norm)
        return grouped.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        # With momentum 1 torch writes the statistics of a batch into the averages given to it.
        shape = (2, self.groups, self.num_features)
        means, variances = torch.zeros(shape, device=input.device, dtype=self.weight.dtype)
        outputs = [
            nn.functional.batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.eps)
            for x, mean, var in zip(input.chunk(self.groups), means, variances, strict=True)
        ]
        norms.move_averages(self, means.mean(0), variances.mean(0))
        return torch.cat(outputs)
