"""The probe ``linear``: logistic regression on cached features, deterministic."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.evaluation.features import Accuracy, Features, Subject, accuracy

_L2 = tuple(10.0**power for power in (-5, -4, -3, -2, -1))
_HELD_OUT = 5  # every fifth training feature chooses the penalty


def score(subject: Subject) -> Accuracy:
    """The probe on a trial's encoder."""
    return linear(subject.train, subject.queries, subject.classes)


def linear(train: Features, queries: Features, classes: int) -> Accuracy:
    """A linear classifier on cached features: L2-penalised multinomial logistic regression.

    Deterministic: features are standardised, and L-BFGS starts from zero. Every fifth training
    feature is held out to choose one of five penalties. The classifier is then fitted on all of
    them.
    """
    mean, std = train.values.mean(0), train.values.std(0).clamp(min=1e-6)
    values = (train.values - mean) / std
    held_out = torch.arange(len(values), device=values.device) % _HELD_OUT == 0
    fitted, chosen, best = None, _L2[0], -1.0
    for penalty in reversed(_L2):  # from smooth to sharp; each fit starts from the one before
        fitted = _logistic(values[~held_out], train.labels[~held_out], classes, penalty, fitted)
        score = accuracy(_logits(values[held_out], fitted), train.labels[held_out]).top1
        if score > best:
            chosen, best = penalty, score
    weights = _logistic(values, train.labels, classes, chosen, None)
    return accuracy(_logits((queries.values - mean) / std, weights), queries.labels)


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
