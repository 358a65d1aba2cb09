"""Mixtures: what the images show is what the targets say."""

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.arms.extra_crop import unmixed
from trainables.arms.i_mix import i_mix
from trainables.arms.mixco import mixco
from trainables.arms.mixture import draw_lambda
from trainables.arms.un_mix import un_mix
from trainables.streams import stream

ARMS = [mixco, i_mix, un_mix]


def one_hot_batch(n: int) -> torch.Tensor:
    """Image i is zero but for channel i, which is one: its content can be read off a mixture."""
    return torch.eye(n)[:, :, None, None].expand(n, n, 8, 8).contiguous()


@pytest.mark.parametrize("arm", ARMS)
@given(half=st.integers(1, 8), alpha=st.floats(0.05, 5), seed=st.integers(0, 999))
def test_targets_are_the_shares_of_the_images_that_a_mixture_shows(
    arm: object, half: int, alpha: float, seed: int
) -> None:
    n = 2 * half
    mixture = arm(one_hot_batch(n), alpha, stream(seed, "mixing"))  # type: ignore[operator]
    shown = mixture.images.mean((2, 3))  # [M, n]: how much of each image is in there
    torch.testing.assert_close(mixture.targets(n), shown, atol=1e-5, rtol=1e-5)


def test_mixco_pairs_the_halves_with_one_lambda_for_each_pair() -> None:
    mixture = mixco(one_hot_batch(6), 1.0, stream(0, "mixing"))
    assert mixture.first.tolist() == [0, 1, 2]
    assert mixture.second.tolist() == [3, 4, 5]
    assert len(set(mixture.share.tolist())) == 3
    targets = mixture.targets(6)
    for i in range(3):
        assert targets[i, i] == mixture.share[i]
        assert targets[i, i + 3] == 1 - mixture.share[i]


def test_un_mix_uses_both_ways_of_mixing_and_the_reversed_batch() -> None:
    batch = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    boxed = 0
    for seed in range(40):
        mixture = un_mix(batch, 1.0, stream(seed, "mixing"))
        assert mixture.second.tolist() == [3, 2, 1, 0]
        pasted = (mixture.images == batch) | (mixture.images == batch.flip(0))
        boxed += bool(pasted.all())
    assert 10 < boxed < 30  # equal chances


def test_the_control_shows_each_image_alone() -> None:
    mixture = unmixed(one_hot_batch(4))
    assert torch.equal(mixture.targets(6), torch.eye(4, 6))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_lambda_follows_its_beta_distribution(alpha: float) -> None:
    draws = draw_lambda(4000, alpha, stream(0, "mixing")).double()
    p = scipy.stats.kstest(draws.clamp(1e-9, 1 - 1e-9).numpy(), scipy.stats.beta(alpha, alpha).cdf)
    assert p.pvalue > 0.001
