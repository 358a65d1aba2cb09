"""The losses against loops straight from the papers' equations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from trainables.methods.losses import info_nce, nt_xent, soft_cross_entropy


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@given(st.integers(1, 6), st.integers(1, 9), st.floats(0.03, 2), st.integers(0, 99))
def test_info_nce_is_the_mean_over_queries_of_equation_1(
    n: int, k: int, tau: float, seed: int
) -> None:
    q, keys, queue = unit(n, 5, seed=seed), unit(n, 5, seed=seed + 1), unit(k, 5, seed=seed + 2)
    total = 0.0
    for i in range(n):
        positive = math.exp(q[i] @ keys[i] / tau)
        negatives = sum(math.exp(q[i] @ queue[j] / tau) for j in range(k))
        total += -math.log(positive / (positive + negatives))
    assert info_nce(q, keys, queue, tau).item() == pytest.approx(total / n)


@given(st.integers(1, 5), st.floats(0.1, 2), st.integers(0, 99))
def test_nt_xent_excludes_only_the_anchor_itself(n: int, tau: float, seed: int) -> None:
    z = unit(2 * n, 4, seed=seed)
    total = 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        denominator = sum(math.exp(z[i] @ z[j] / tau) for j in range(2 * n) if j != i)
        total += -math.log(math.exp(z[i] @ z[partner] / tau) / denominator)
    assert nt_xent(z, z, 0, tau).item() == pytest.approx(total / (2 * n))


def test_nt_xent_of_a_workers_part_is_its_rows_of_the_whole() -> None:
    batch, tau = 6, 0.3
    views = unit(2, batch, 4)
    everyone = views.flatten(0, 1)
    whole = nt_xent(everyone, everyone, 0, tau)
    parts = [
        nt_xent(views[:, start : start + 2].flatten(0, 1), everyone, start, tau)
        for start in (0, 2, 4)
    ]
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item())


def test_nt_xent_of_orthogonal_pairs_has_a_closed_form() -> None:
    n, tau = 4, 0.5
    eye = torch.eye(n, dtype=torch.float64)
    expected = -1 / tau + math.log(math.exp(1 / tau) + 2 * n - 2)
    assert nt_xent(torch.cat([eye, eye]), torch.cat([eye, eye]), 0, tau).item() == pytest.approx(
        expected
    )


def test_soft_cross_entropy_with_one_hot_targets_is_cross_entropy() -> None:
    logits = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 5, 1, 2, 4, 0])
    targets = torch.nn.functional.one_hot(labels, 6).float()  # three further columns are zero
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(soft_cross_entropy(logits, targets), expected)


def test_soft_cross_entropy_stays_finite_where_softmax_underflows() -> None:
    logits = torch.tensor([[1.0, -1.0]]) / 0.005
    targets = torch.tensor([[0.5, 0.5]])
    assert torch.log(torch.softmax(logits, 1)).isinf().any()  # the naive form
    assert soft_cross_entropy(logits, targets).item() == pytest.approx(200.0)
