"""The weighted k-nearest-neighbour vote (Wu et al. 2018)."""

from __future__ import annotations

import torch
from torch.nn import functional

from trainables.evaluation.features import CHUNK, Accuracy, Features, Subject, accuracy


def score(subject: Subject) -> Accuracy:
    """The vote with the config's ``knn_k`` and ``knn_temperature``."""
    config = subject.config
    return knn(
        subject.train, subject.queries, subject.classes, config.knn_k, config.knn_temperature
    )


def knn(
    bank: Features, queries: Features, classes: int, k: int = 200, temperature: float = 0.1
) -> Accuracy:
    """Weighted k-nearest-neighbour vote by cosine similarity (Wu et al. 2018).

    A neighbour of similarity s votes for its class with weight exp(s / temperature).
    """
    k = min(k, len(bank.labels))
    keys = functional.normalize(bank.values, dim=1)
    scores = []
    for chunk in functional.normalize(queries.values, dim=1).split(CHUNK):
        similarity, neighbours = (chunk @ keys.T).topk(k, dim=1)
        votes = similarity.new_zeros(len(chunk), classes)
        # Weights relative to the nearest neighbour: the same winner, and no overflow.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        scores.append(votes.scatter_add_(1, bank.labels[neighbours], weights))
    return accuracy(torch.cat(scores), queries.labels)
