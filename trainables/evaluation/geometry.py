"""Geometry of embeddings and features: alignment, uniformity, effective rank."""

from __future__ import annotations

import torch
from torch import Tensor


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of two views' unit vectors, [N, D] (Wang and Isola 2020, alpha 2)."""
    return (first - second).pow(2).sum(1).mean().item()


def uniformity(vectors: Tensor) -> float:
    """Log of the mean Gaussian potential of pairs of unit vectors, [N, D] (Wang and Isola 2020).

    With t = 2; lower is more uniform.
    """
    return torch.pdist(vectors).pow(2).mul(-2).exp().mean().log().item()


def effective_rank(features: Tensor) -> float:
    """Effective rank of the centred features, [N, D]: between 1 and D (Roy and Vetterli 2007).

    It is the exponential of the entropy of the normalised singular values.
    """
    values = torch.linalg.svdvals(features - features.mean(0))
    shares = values / values.sum().clamp(min=1e-12)
    return torch.special.entr(shares).sum().exp().item()
