"""Accuracies and measures of frozen features. All accuracies are percentages."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.dataset import Dataset, Split
from trainables.device import world
from trainables.device.runtime import Runtime

_CHUNK = 512  # images or queries at once
_L2 = tuple(10.0**power for power in (-5, -4, -3, -2, -1))
_HELD_OUT = 5  # every fifth training feature chooses the penalty


class Accuracy(NamedTuple):
    """Share of images whose class is the first guess, and among the first five."""

    top1: float
    top5: float


class Features(NamedTuple):
    """Frozen features of one split."""

    values: Tensor  # [N, D], float32
    labels: Tensor  # [N], int64


@torch.no_grad()
def extract(encoder: nn.Module, split: Split, data: Dataset, runtime: Runtime) -> Features:
    """Features of every image as it is, without augmentation; the encoder in evaluation mode.

    Several workers share out the images; each gets all features, the same ones.
    """
    training = encoder.training
    encoder.eval()
    mean = torch.tensor(data.mean, device=runtime.device)[:, None, None]
    std = torch.tensor(data.std, device=runtime.device)[:, None, None]
    parts = []
    share = -(-len(split) // world.size())  # the last worker's reach beyond the end, and are cut
    own = torch.arange(world.rank() * share, (world.rank() + 1) * share).clamp(max=len(split) - 1)
    mine = split.images if world.size() == 1 else split.images[own]
    for images in mine.split(_CHUNK):
        x = (images.to(runtime.device).float() / 255 - mean) / std
        with runtime.autocast():
            parts.append(encoder(x.contiguous(memory_format=runtime.memory_format)).float())
    encoder.train(training)
    values = world.gather(torch.cat(parts))[: len(split)]
    return Features(values, split.labels.to(runtime.device))


def knn(
    bank: Features, queries: Features, classes: int, k: int = 200, temperature: float = 0.1
) -> Accuracy:
    """Weighted k-nearest-neighbour vote by cosine similarity (Wu et al. 2018).

    A neighbour of similarity s votes for its class with weight exp(s / temperature).
    """
    k = min(k, len(bank.labels))
    keys = functional.normalize(bank.values, dim=1)
    scores = []
    for chunk in functional.normalize(queries.values, dim=1).split(_CHUNK):
        similarity, neighbours = (chunk @ keys.T).topk(k, dim=1)
        votes = similarity.new_zeros(len(chunk), classes)
        # Weights relative to the nearest neighbour: the same winner, and no overflow.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        scores.append(votes.scatter_add_(1, bank.labels[neighbours], weights))
    return accuracy(torch.cat(scores), queries.labels)


def linear(train: Features, queries: Features, classes: int) -> Accuracy:
    """A linear classifier on cached features: L2-penalised multinomial logistic regression.

    Deterministic: standardised features, L-BFGS from zero, the penalty chosen from five by every
    fifth training feature held out, then fitted again on all of them.
    """
    mean, std = train.values.mean(0), train.values.std(0).clamp(min=1e-6)
    values = (train.values - mean) / std
    held_out = torch.arange(len(values), device=values.device) % _HELD_OUT == 0
    fitted, chosen, best = None, _L2[0], -1.0
    for penalty in reversed(_L2):  # from smooth to sharp, each from the one before
        fitted = _logistic(values[~held_out], train.labels[~held_out], classes, penalty, fitted)
        score = accuracy(_logits(values[held_out], fitted), train.labels[held_out]).top1
        if score > best:
            chosen, best = penalty, score
    weights = _logistic(values, train.labels, classes, chosen, None)
    return accuracy(_logits((queries.values - mean) / std, weights), queries.labels)


def accuracy(scores: Tensor, labels: Tensor) -> Accuracy:
    """Accuracies of [N, classes] scores; with fewer than five classes top-5 is 100."""
    guesses = scores.topk(min(5, scores.shape[1]), dim=1).indices
    hits = guesses == labels[:, None]
    top1 = 100 * hits[:, 0].float().mean().item()
    return Accuracy(top1, 100 * hits.any(1).float().mean().item())


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of two views' unit vectors, [N, D] (Wang and Isola 2020, alpha 2)."""
    return (first - second).pow(2).sum(1).mean().item()


def uniformity(vectors: Tensor) -> float:
    """Log of the mean Gaussian potential of pairs of unit vectors, [N, D] (Wang and Isola 2020).

    With t = 2; lower is more uniform.
    """
    return torch.pdist(vectors).pow(2).mul(-2).exp().mean().log().item()


def effective_rank(features: Tensor) -> float:
    """Exponential of the entropy of the normalised singular values (Roy and Vetterli 2007).

    Of the centred features, [N, D]: between 1 and D.
    """
    values = torch.linalg.svdvals(features - features.mean(0))
    shares = values / values.sum().clamp(min=1e-12)
    return torch.special.entr(shares).sum().exp().item()


def _logits(values: Tensor, weights: Tensor) -> Tensor:
    return values @ weights[1:] + weights[0]


def _logistic(
    values: Tensor, labels: Tensor, classes: int, penalty: float, start: Tensor | None
) -> Tensor:
    """Bias (row 0) and weights, [1 + D, classes], that minimise the penalised cross-entropy."""
    shape = (1 + values.shape[1], classes)
    weights = (values.new_zeros(shape) if start is None else start.clone()).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(_logits(values, weights), labels)
        loss = loss + 0.5 * penalty * weights[1:].pow(2).sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return weights.detach()
