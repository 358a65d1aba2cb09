"""The contract of arms and methods: every registered arm on every registered method."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.spaces import space
from trainables.arms import ARMS, BASELINE
from trainables.arms.base import Arm, Draws, Mix
from trainables.arms.mixture import Mixture
from trainables.config import TrialConfig
from trainables.device.flops import training_flops
from trainables.methods import METHODS
from trainables.methods.module import ContrastiveMethod, Losses, build_method, method_class
from trainables.recipes import RECIPES
from trainables.streams import stream

N, SIDE = 8, 8
EVERY_ARM = pytest.mark.parametrize("arm", ARMS)
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
MIXING_FIELDS = sorted({field for arm in ARMS.values() for field in arm.fields})


def config(**fields: Any) -> TrialConfig:
    small = {"encoder": "resnet10", "width": 2, "projection_dim": 6, "queue_size": 20, "epochs": 1}
    return TrialConfig(**{**small, "batch_size": N, **fields})


def images(seed: int, count: int = N) -> Tensor:
    return torch.randn(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def mixer(chosen: TrialConfig) -> Mix | None:
    draws = Draws(stream(0, "mixing"), lambda count: images(9, count))
    return ARMS.find(chosen.arm).mixer(chosen, draws)


def losses(chosen: TrialConfig) -> tuple[ContrastiveMethod, Losses]:
    torch.manual_seed(0)
    model = build_method(chosen, channels=1)
    model.before_step()
    return model, model(images(1), images(2), mixer(chosen))


@EVERY_ARM
def test_an_arm_makes_images_whose_targets_are_distributions(arm: str) -> None:
    chosen = ARMS[arm]
    assert chosen.name == arm
    assert chosen.summary
    mix = mixer(config(arm=arm))
    assert (mix is not None) == chosen.makes_images == (arm != BASELINE)
    if mix is None:
        return
    view = images(1)
    mixture = mix(view)
    assert mixture.images.shape[1:] == view.shape[1:]
    # What replaces the clean images adds none; else each extra image is one more to embed.
    clean = N if chosen.replaces_contrastive else 0
    assert len(mixture.images) - clean == chosen.extra_images * N
    for part in (mixture.first, mixture.second, mixture.share):
        assert part.shape == (len(mixture.images),)
    targets = mixture.targets(N + 3)
    assert targets.min() >= 0
    torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
    assert not targets[:, N:].any()


@EVERY_METHOD
@EVERY_ARM
def test_a_step_gives_finite_losses_and_gradients_and_says_what_it_minimises(
    arm: str, method: str
) -> None:
    chosen = config(method=method, arm=arm, mix_weight=0.6)
    model, found = losses(chosen)
    found.total.backward()
    model.after_step()
    for parameter in model.trained_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()
    assert found.total.isfinite()
    weight = ARMS[arm].weight(chosen)
    assert weight == (0.6 if "mix_weight" in ARMS[arm].fields else 1.0)
    if found.mixing is None:
        assert not ARMS[arm].makes_images
        assert found.total is found.contrastive
    elif found.contrastive is None:
        assert ARMS[arm].replaces_contrastive
        assert found.total is found.mixing
    else:
        torch.testing.assert_close(found.total, found.contrastive + weight * found.mixing)


@EVERY_METHOD
@EVERY_ARM
def test_flops_and_memory_count_the_passes_that_a_step_makes(arm: str, method: str) -> None:
    chosen = config(method=method, arm=arm)
    counter = FlopCounterMode(display=False)
    with counter:
        model, found = losses(chosen)
        found.total.backward()
    # The products of the losses are not counted; they are small here.
    estimate = N * training_flops(chosen, SIDE, channels=1)
    assert estimate == pytest.approx(counter.get_total_flops(), rel=0.03)
    trained = sum(p.numel() for p in model.trained_parameters())
    kept = sum(p.numel() for p in model.parameters()) - trained
    assert kept == model.untrained_copies * trained


@EVERY_METHOD
@EVERY_ARM
def test_an_arm_reads_its_own_mixing_fields_and_no_others(arm: str, method: str) -> None:
    base = config(method=method, arm=arm, mix_alpha=0.7)
    expected = losses(base)[1].total.item()
    changed = {"mix_weight": 3.0, "mix_alpha": 2.0, "mix_temperature": 0.9}
    for field in MIXING_FIELDS:
        other = base.model_copy(update={field: changed[field]})
        moved = losses(other)[1].total.item() != expected
        assert moved == (field in ARMS[arm].fields), field


@EVERY_METHOD
def test_a_method_names_fields_and_recipes_that_exist(method: str) -> None:
    declared = METHODS[method]
    assert declared.name == method
    assert declared.summary
    assert issubclass(method_class(method), ContrastiveMethod)
    assert set(declared.fields) <= set(TrialConfig.model_fields)
    assert set(declared.recipes) <= set(RECIPES)
    for values in declared.recipes.values():
        TrialConfig.model_validate({"method": method, **values})


class Scaled(Arm):
    """An arm that no other file knows: darker copies of half the images."""

    name = "scaled"
    summary = "darker copies"
    fields = ("mix_weight",)
    extra_images = 0.5

    def mixer(self, config: Any, draws: Draws) -> Mix:
        def darker(view: Tensor) -> Mixture:
            rows = torch.arange(len(view) // 2)
            return Mixture(0.5 * view[: len(rows)], rows, rows, torch.ones(len(rows)))

        return darker


@EVERY_METHOD
def test_a_new_arm_needs_no_other_change(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARMS._members, "scaled", Scaled())
    chosen = config(method=method, arm="scaled")
    _, found = losses(chosen)
    assert found.mixing is not None
    assert found.mixing.isfinite()
    assert chosen.mixes
    assert training_flops(chosen, SIDE, 1) > training_flops(
        config(method=method, arm="none"), SIDE, 1
    )
    assert set(space(method, "scaled")) - set(space(method, BASELINE)) == {"mix_weight"}
