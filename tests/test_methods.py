"""MoCo and SimCLR with each arm against slow code that follows the equations."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.arms.i_mix import i_mix
from trainables.arms.mixco import mixco
from trainables.arms.mixture import Mixture
from trainables.arms.un_mix import un_mix
from trainables.config import TrialConfig
from trainables.methods.moco import MoCo
from trainables.methods.module import ContrastiveMethod, build_method
from trainables.streams import stream

N, TAU, MIX_TAU, BETA = 8, 0.3, 0.07, 0.6


def config(**fields: Any) -> TrialConfig:
    base = {"encoder": "resnet10", "width": 2, "projection_dim": 6, "queue_size": 20, "epochs": 1}
    chosen = {"temperature": TAU, "mix_temperature": MIX_TAU, "mix_weight": BETA}
    return TrialConfig(**{**base, **chosen, "mix_batch_norm": "separate", **fields})


def build(device: str = "cpu", **fields: Any) -> ContrastiveMethod:
    torch.manual_seed(3)
    method = build_method(config(**fields), channels=1).to(device)
    # Evaluation mode: batch norm then treats every image alone, so the slow code may too.
    return method.eval()


def views(device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    view1, view2 = torch.randn(2, N, 1, 8, 8, generator=generator).to(device)
    return view1, view2


def mix(view: Tensor) -> Mixture:
    return mixco(view, 1.0, stream(0, "mixing", device=view.device))


def soft_loss(row: Tensor, keys: list[Tensor], shares: dict[int, float], tau: float) -> float:
    """-sum_j share_j log softmax_j, written out."""
    scores = [math.exp(row @ key / tau) for key in keys]
    return -sum(share * math.log(scores[j] / sum(scores)) for j, share in shares.items())


def test_mixco_on_moco_follows_the_paper(device: str) -> None:
    method = build(device, method="moco", arm="mixco")
    assert isinstance(method, MoCo)
    view1, view2 = views(device)
    with torch.no_grad():
        losses = method(view1, view2, mix)
        q, k, mixture = method.embedding(view1), method.key_embedding(view2), mix(view1)
        queue = list(method.queue)
        clean = sum(
            soft_loss(q[i], [k[i], *queue], {0: 1.0}, TAU) for i in range(N)
        ) / N  # fmt: skip
        mixing_loss = 0.0
        for i in range(N // 2):
            share = mixture.share[i].item()
            image = share * view1[i] + (1 - share) * view1[i + N // 2]
            q_mix = method.embedding(image[None])[0]
            shares = {i: share, i + N // 2: 1 - share}
            mixing_loss += soft_loss(q_mix, [*k, *queue], shares, MIX_TAU) / (N // 2)
    assert losses.contrastive.item() == pytest.approx(clean, rel=1e-4)
    assert losses.mixing.item() == pytest.approx(mixing_loss, rel=1e-4)
    assert losses.total.item() == pytest.approx(clean + BETA * mixing_loss, rel=1e-4)


def test_mixco_on_simclr_mixes_each_view_against_the_other(device: str) -> None:
    method = build(device, method="simclr", arm="mixco")
    view1, view2 = views(device)
    with torch.no_grad():
        losses = method(view1, view2, mix)
        z1, z2 = method.embedding(view1), method.embedding(view2)
        total = 0.0
        for view, other in ((view1, z2), (view2, z1)):
            mixture = mix(view)
            z_mix = method.embedding(mixture.images)
            for i in range(N // 2):
                share = mixture.share[i].item()
                shares = {i: share, i + N // 2: 1 - share}
                total += 0.5 * soft_loss(z_mix[i], list(other), shares, MIX_TAU) / (N // 2)
    assert losses.mixing.item() == pytest.approx(total, rel=1e-4)


def test_i_mix_replaces_the_clean_loss_and_un_mix_weighs_two_keys() -> None:
    view1, view2 = views()
    for arm, make in (("i-mix", i_mix), ("un-mix", un_mix)):

        def draw(view: Tensor, make: Any = make) -> Mixture:
            return make(view, 1.0, stream(1, "mixing"))

        method = build(method="moco", arm=arm)
        assert isinstance(method, MoCo)
        with torch.no_grad():
            losses = method(view1, view2, draw)
            mixture, k, queue = draw(view1), method.key_embedding(view2), list(method.queue)
            q_mix, expected = method.embedding(mixture.images), 0.0
            for i in range(N):
                share, j = mixture.share[i].item(), int(mixture.second[i])
                if arm == "i-mix":
                    shares = {i: share, j: 1 - share} if i != j else {i: 1.0}
                    expected += soft_loss(q_mix[i], [*k, *queue], shares, TAU) / N
                else:
                    expected += share * soft_loss(q_mix[i], [k[i], *queue], {0: 1.0}, TAU) / N
                    expected += (1 - share) * soft_loss(q_mix[i], [k[j], *queue], {0: 1.0}, TAU) / N
        assert losses.mixing.item() == pytest.approx(expected, rel=1e-4)
        if arm == "i-mix":
            assert losses.contrastive is None
            assert losses.total.item() == losses.mixing.item()


@pytest.mark.parametrize("size", [3, 8, 11, 20])
def test_queue_holds_the_newest_keys_whatever_the_batch(size: int, device: str) -> None:
    method = build(device, method="moco", arm="none", queue_size=size)
    assert isinstance(method, MoCo)
    expected = list(method.queue.clone())
    place = 0
    for step in range(7):
        keys = torch.randn(8, 6, generator=torch.Generator().manual_seed(step)).to(device)
        method.fresh_keys = keys
        method.enqueue()
        for key in keys[-size:]:
            expected[place] = key
            place = (place + 1) % size
        torch.testing.assert_close(method.queue, torch.stack(expected))
        assert int(method.pointer) == place


def test_key_encoder_moves_by_its_momentum_and_has_no_gradient() -> None:
    method = build(method="moco", arm="none", key_momentum=0.9)
    assert isinstance(method, MoCo)
    with torch.no_grad():
        for parameter in method.embedding.parameters():
            parameter += 1
    before = [p.clone() for p in method.key_embedding.parameters()]
    method.update_keys()
    pairs = zip(
        before, method.embedding.parameters(), method.key_embedding.parameters(), strict=True
    )
    for old, query, key in pairs:
        torch.testing.assert_close(key, 0.9 * old + 0.1 * query)
    method.train()
    method(*views(), None).total.backward()
    assert all(p.grad is None for p in method.key_embedding.parameters())


def test_mix_batch_norm_decides_whose_statistics_are_used() -> None:
    view1, view2 = views()
    statistics = {}
    for mode in ("shared", "separate"):
        for arm in ("none", "mixco"):
            method = build(method="moco", arm=arm, mix_batch_norm=mode).train()
            losses = method(view1, view2, mix if arm == "mixco" else None)
            norm = method.embedding.encoder.bn1
            statistics[mode, arm] = (losses.contrastive.item(), norm.running_mean.clone())
    # Apart, mixing moves neither the clean loss nor the averages that the probe uses later.
    clean, average = statistics["separate", "none"]
    assert statistics["separate", "mixco"][0] == pytest.approx(clean, rel=1e-5)
    torch.testing.assert_close(statistics["separate", "mixco"][1], average)
    assert statistics["shared", "mixco"][0] != pytest.approx(clean, rel=1e-5)
    assert not torch.allclose(statistics["shared", "mixco"][1], average)


def test_batch_norm_defaults_to_what_the_paper_ran() -> None:
    assert TrialConfig(method="moco").mix_statistics == "shared"
    assert TrialConfig(method="simclr").mix_statistics == "separate"
