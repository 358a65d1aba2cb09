"""Evaluation against independent libraries and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from trainables.evaluation import features, geometry, per_image
from trainables.evaluation.features import Features
from trainables.evaluation.knn import knn
from trainables.evaluation.linear import linear


@pytest.fixture(scope="module")
def digits() -> tuple[Features, Features]:
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels, labels, test_size=0.3, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = (torch.tensor(np.asarray(part)) for part in parts)
    return Features(train_x.float(), train_y), Features(test_x.float(), test_y)


def test_knn_is_the_weighted_vote_written_out(digits: tuple[Features, Features]) -> None:
    train, test = digits
    bank = Features(train.values[:300], train.labels[:300])
    queries = Features(test.values[:40], test.labels[:40])
    hits = 0
    for image, label in zip(queries.values, queries.labels, strict=True):
        similarity = torch.cosine_similarity(image[None], bank.values)
        votes = [0.0] * 10
        for neighbour in similarity.argsort(descending=True)[:20]:
            votes[int(bank.labels[neighbour])] += math.exp(similarity[neighbour] / 0.1)
        hits += int(np.argmax(votes) == label)
    found = knn(bank, queries, classes=10, k=20, temperature=0.1)
    assert found.top1 == pytest.approx(100 * hits / 40)
    assert found.top5 >= found.top1


def test_linear_probe_is_as_good_as_scikit_learns_best_penalty(
    digits: tuple[Features, Features],
) -> None:
    train, test = digits
    scaler = StandardScaler().fit(train.values)
    theirs = max(
        LogisticRegression(C=c, max_iter=2000)
        .fit(scaler.transform(train.values), train.labels)
        .score(scaler.transform(test.values), test.labels)
        for c in (0.01, 0.1, 1.0)
    )
    ours = linear(train, test, classes=10)
    assert ours.top1 >= 100 * theirs - 1.0
    again = linear(train, test, classes=10)
    assert (ours.top1, ours.top5) == (again.top1, again.top5)
    assert ours.right is not None
    assert again.right is not None
    assert torch.equal(ours.right, again.right)


def test_measures_have_their_closed_forms() -> None:
    eye = torch.eye(4)
    assert geometry.alignment(eye, -eye) == pytest.approx(4)
    # Orthogonal unit vectors lie at squared distance 2: log exp(-2 * 2).
    assert geometry.uniformity(eye) == pytest.approx(-4)
    corners = torch.tensor([[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]])
    assert geometry.effective_rank(corners) == pytest.approx(2, rel=1e-4)


def test_accuracy_counts_first_guess_and_first_five() -> None:
    scores = torch.arange(7.0).repeat(7, 1)  # class 6 first, then 5, ...
    found = features.accuracy(scores, torch.arange(7))
    assert found.top1 == pytest.approx(100 / 7)
    assert found.top5 == pytest.approx(500 / 7)
    assert found.right is not None
    assert found.right.tolist() == [False] * 6 + [True]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_which_images_were_right_is_kept_by_class(images: list[tuple[int, bool]]) -> None:
    labels = torch.tensor([label for label, _ in images])
    kept = per_image.columns(torch.tensor([right for _, right in images]), labels, classes=6)
    bits = np.unpackbits(np.frombuffer(kept["right"], np.uint8), count=len(images))
    expected = [right for label in range(6) for own, right in images if own == label]
    assert bits.tolist() == expected
    assert kept["class_images"] == [[own for own, _ in images].count(c) for c in range(6)]
