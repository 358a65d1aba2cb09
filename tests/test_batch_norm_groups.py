"""Batch norm over groups of a batch, against a batch norm for each group."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.config import TrialConfig, parse_config
from trainables.device import grouped_norm
from trainables.device.grouped_norm import GroupedBatchNorm2d
from trainables.errors import InputError
from trainables.methods.module import embed, embed_both
from trainables.recipes import recipe


def images(count: int, seed: int = 0) -> Tensor:
    return 3 + 2 * torch.randn(count, 5, 4, 4, generator=torch.Generator().manual_seed(seed))


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(5, 3, 3), nn.BatchNorm2d(3), nn.Flatten()).double()


def in_groups(module: nn.Module, groups: int) -> nn.Module:
    grouped = copy.deepcopy(module)
    grouped_norm.split(grouped, groups)
    return grouped


def config(groups: int, **fields: Any) -> TrialConfig:
    return TrialConfig(batch_norm_groups=groups, **fields)


def test_each_group_is_normalised_by_a_batch_norm_of_its_own() -> None:
    norm = nn.BatchNorm2d(5)
    nn.init.normal_(norm.weight)
    grouped = in_groups(nn.Sequential(norm), 3)[0]
    assert isinstance(grouped, GroupedBatchNorm2d)
    workers = [copy.deepcopy(norm) for _ in range(3)]
    upstream = torch.randn(12, 5, 4, 4)
    for step in range(2):  # the averages move twice
        x = images(12, step).contiguous(memory_format=torch.channels_last).requires_grad_()
        y = x.detach().clone().requires_grad_()
        found = grouped(x)
        expected = torch.cat([own(part) for own, part in zip(workers, y.chunk(3), strict=True)])
        torch.testing.assert_close(found, expected)
        (found * upstream).sum().backward()
        (expected * upstream).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(grouped.weight.grad, sum(own.weight.grad for own in workers))
    for name in ("running_mean", "running_var"):
        mean = torch.stack([getattr(own, name) for own in workers]).mean(0)
        torch.testing.assert_close(getattr(grouped, name), mean)
    grouped.eval()
    alone = nn.BatchNorm2d(5).eval()
    alone.load_state_dict(grouped.state_dict())
    torch.testing.assert_close(grouped(images(4)), alone(images(4)))


@pytest.mark.parametrize("mode", ["shared", "separate", "separate-both"])
def test_a_group_gets_its_part_of_every_kind_of_images(mode: str) -> None:
    clean = [images(8, 1).double(), images(8, 2).double()]
    mixed = [images(4, 3).double()]
    plain = encoder()
    grouped = in_groups(plain, 2)
    z, z_mix = embed_both(grouped, clean, mixed, config(2, mix_batch_norm=mode))
    for group in range(2):
        own_clean, own_mixed = ([kind.chunk(2)[group] for kind in part] for part in (clean, mixed))
        own = copy.deepcopy(plain)
        if mode == "shared":
            expected = own(torch.cat([*own_clean, *own_mixed]))
        else:
            expected = torch.cat([own(torch.cat(own_clean)), own(torch.cat(own_mixed))])
        found = torch.cat([kind.chunk(2)[group] for kind in (*z, *z_mix)])
        torch.testing.assert_close(found, expected)


def test_the_running_averages_follow_mixed_images_where_the_mode_says_so() -> None:
    clean, mixed = [images(8, 1).double()], [7 + images(8, 2).double()]
    averages = {}
    for mode in ("separate", "separate-both"):
        module = encoder()
        embed_both(module, clean, mixed, config(1, mix_batch_norm=mode))
        averages[mode] = module[1].running_mean.clone()  # type: ignore[index]
    module = encoder()
    embed(module, clean, config(1))
    torch.testing.assert_close(averages["separate"], module[1].running_mean)  # type: ignore[index]
    embed(module, mixed, config(1))
    torch.testing.assert_close(averages["separate-both"], module[1].running_mean)  # type: ignore[index]


def test_groups_that_do_not_divide_half_of_the_batch_are_refused() -> None:
    with pytest.raises(InputError, match="batch_norm_groups: 8 does not divide half of the batch"):
        parse_config({"batch_size": 72, "batch_norm_groups": 8})


def test_the_papers_recipe_has_each_methods_published_values() -> None:
    moco, simclr = (parse_config({**recipe("paper", m), "method": m}) for m in ("moco", "simclr"))
    assert (moco.learning_rate, moco.weight_decay, moco.temperature) == (0.015, 1e-4, 0.2)
    assert (moco.colour_strength, moco.batch_norm_groups) == (0.5, 2)
    assert moco.mix_statistics == "shared"
    assert (simclr.learning_rate, simclr.weight_decay, simclr.temperature) == (0.15, 1e-6, 0.5)
    assert (simclr.colour_strength, simclr.batch_norm_groups) == (1.0, 1)
    assert simclr.mix_statistics == "separate-both"
