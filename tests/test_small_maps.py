"""Strided convolutions on maps of one position: their gradient reads no memory of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.device.small_maps import StridedConv, guard
from trainables.trial import Trial


def convolution(groups: int = 1, kernel: int = 3, **options: object) -> nn.Conv2d:
    settings = {"stride": 2, "padding": kernel // 2, "groups": groups, **options}
    return nn.Conv2d(64, 64, kernel, **settings)  # type: ignore[arg-type]


def guarded(conv: nn.Conv2d) -> nn.Module:
    model = nn.Sequential(conv)
    guard(model)
    return model[0]


@pytest.mark.parametrize("groups", [1, 64])
@pytest.mark.parametrize("kernel", [3, 5])
def test_only_the_centre_of_a_kernel_has_a_gradient_on_one_position(
    groups: int, kernel: int
) -> None:
    conv = guarded(convolution(groups, kernel, bias=False))
    x = torch.randn(384, 64, 1, 1).bfloat16().as_strided((384, 64, 1, 1), (64, 1, 64, 64))
    for _ in range(5):
        # What was freed here is what oneDNN's scratch memory may hold.
        used: list[Tensor] = [torch.full((2**size,), 1e30) for size in range(4, 20)]
        del used
        conv.weight.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            y = conv(x)
        y.backward(torch.ones_like(y))
        assert conv.weight.grad is not None
        found = conv.weight.grad.clone()
        middle = found[:, :, kernel // 2, kernel // 2].clone()
        found[:, :, kernel // 2, kernel // 2] = 0
        assert found.count_nonzero() == 0
        sums = x.float().sum((0, 2, 3)).reshape(groups, -1)
        expected = sums.repeat_interleave(64 // groups, 0)
        torch.testing.assert_close(middle, expected, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_guarded_convolution_is_the_same_function_with_the_same_weights(
    side: int, kernel: int
) -> None:
    conv = convolution(kernel=kernel)
    state = torch.get_rng_state()
    other = guarded(conv)
    assert type(other) is StridedConv
    assert torch.equal(torch.get_rng_state(), state)
    assert other.weight is conv.weight
    assert other.state_dict().keys() == conv.state_dict().keys()
    x = torch.randn(3, 64, side, side)
    torch.testing.assert_close(other(x), conv(x))


@pytest.mark.parametrize(
    "options", [{"stride": 1}, {"padding": 0}, {"dilation": 2}, {"padding_mode": "reflect"}]
)
def test_a_convolution_that_would_change_is_left_alone(options: dict[str, object]) -> None:
    conv = convolution(**options)
    assert guarded(conv) is conv


@pytest.mark.parametrize(("precision", "guards"), [("bf16", True), ("fp32", False)])
def test_training_in_bf16_on_a_cpu_is_guarded(tmp_path: Path, precision: str, guards: bool) -> None:
    config = TrialConfig.model_validate(
        {"dataset": "digits", "width": 4, "device": "cpu", "precision": precision}
    )
    encoder = Trial(config, data_dir=tmp_path).pretraining.encoder
    strided = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]
    assert len(strided) == 6  # in each of three stages a block's first layer and its shortcut
    assert all((type(m) is StridedConv) == guards for m in strided)
