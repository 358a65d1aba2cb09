"""Contrastive losses: pure functions of embeddings and logits.

Shapes: N queries, B keys of the batch, K keys of the queue, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE of each query against its own key and the queue (MoCo, He et al. 2020, eq. 1).

    Args:
        queries, keys: [N, D], unit vectors; row i of both belongs to one image.
        queue: [K, D], the negatives.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def nt_xent(anchors: Tensor, candidates: Tensor, first: int, temperature: float) -> Tensor:
    """NT-Xent, the normalised temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, eq. 1).

    Args:
        anchors: [2N, D]: N first views, then the N second views of the same images.
        candidates: [2B, D]: first views of the whole batch, then its second views.
        first: row of the anchors' first image within the whole batch (0 on one worker).
    """
    n, batch = len(anchors) // 2, len(candidates) // 2
    logits = anchors @ candidates.T / temperature
    rows = torch.arange(n, device=anchors.device) + first
    itself = torch.cat([rows, rows + batch])
    partner = torch.cat([rows + batch, rows])
    logits = logits.scatter(1, itself[:, None], -torch.inf)
    return functional.cross_entropy(logits, partner)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with a distribution as target, averaged over rows.

    Args:
        logits: [N, C].
        targets: [N, T] with T <= C. The columns beyond T have target zero.

    The function uses log-softmax, since log(softmax(x)) underflows to log(0) at small temperatures.
    """
    log_probabilities = functional.log_softmax(logits, dim=1)[:, : targets.shape[1]]
    return -(targets * log_probabilities).sum(1).mean()
