"""The fused batch norm against torch's own in double precision."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainables.native import batch_norm
from trainables.native.batch_norm import normalise

pytestmark = pytest.mark.skipif(not batch_norm.is_available(), reason="no C++ compiler here")

SHAPES = [(16, 8, 8, 8), (3, 7, 5, 3), (2, 24, 3, 3), (5, 64, 1, 1), (64, 8, 16, 16), (2, 3, 1, 1)]


def run(
    norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None, gradient: Tensor
) -> dict[str, Tensor]:
    x = x.clone(memory_format=torch.channels_last).requires_grad_()
    leaves = {"x": x}
    if residual is not None:
        leaves["residual"] = residual = residual.clone().requires_grad_()
    y = normalise(norm, x, residual)
    y.backward(gradient)
    found = {"y": y.detach(), **{name: leaf.grad for name, leaf in leaves.items()}}  # type: ignore[dict-item]
    found |= {f"d {name}": p.grad for name, p in norm.named_parameters()}  # type: ignore[misc]
    return found | dict(norm.named_buffers())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_gradients_and_averages_are_torchs(
    shape: tuple[int, ...], with_residual: bool, dtype: torch.dtype
) -> None:
    g = torch.Generator().manual_seed(0)

    def images(scale: float = 1.0, shift: float = 0.0) -> Tensor:
        x = torch.randn(shape, generator=g) * scale + shift
        return x.to(dtype).contiguous(memory_format=torch.channels_last)

    norm = nn.BatchNorm2d(shape[1])
    nn.init.normal_(norm.weight, generator=g)
    nn.init.normal_(norm.bias, generator=g)
    x, residual, gradient = images(3.0, 5.0), images() if with_residual else None, images()
    assert batch_norm._is_fused(norm, x, residual)
    exact = copy.deepcopy(norm).double()  # not fused in double precision
    wide = residual.double() if residual is not None else None
    before_relu = copy.deepcopy(exact)(x.double()) + (wide if wide is not None else 0)
    # Where the ReLU's sign hangs on rounding, gradients may differ: none flows there.
    gradient = gradient * (before_relu.abs() > (1e-4 if dtype is torch.float32 else 0.05))
    found = run(norm, x, residual, gradient)
    expected = run(exact, x.double(), wide, gradient.double())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        bound = {"rtol": 1e-4, "atol": 1e-4} if dtype is torch.float32 else {}
        if dtype is torch.bfloat16 and name in ("y", "x", "residual"):
            bound = {"rtol": 2**-7, "atol": 2**-7 * max(1.0, value.abs().max().item() / 8)}
        elif dtype is torch.bfloat16:
            bound = {"rtol": 1e-3, "atol": 2e-3 * max(1.0, value.abs().max().item())}
        torch.testing.assert_close(
            found[name].double(), value.double(), msg=lambda text, name=name: f"{name}: {text}",
            **bound,
        )  # fmt: skip


def test_a_far_mean_does_not_cancel_the_variance() -> None:
    x = (torch.randn(32, 8, 16, 16) + 4000).contiguous(memory_format=torch.channels_last)
    norm = nn.BatchNorm2d(8)
    y = normalise(norm, x)
    expected = nn.BatchNorm2d(8).double()(x.double()).relu()
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=2e-3)


def test_nan_and_infinity_are_not_hidden() -> None:
    for bad in (torch.nan, torch.inf):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(4, 8, 4, 4, dtype=dtype).contiguous(memory_format=torch.channels_last)
            x[1, 3, 2, 2] = bad
            y = normalise(nn.BatchNorm2d(8), x)
            assert y[:, 3].isnan().all()
            assert y[:, [0, 1, 2, 4, 5, 6, 7]].isfinite().all()


def test_results_repeat_and_do_not_hang_on_other_threads_work() -> None:
    x = torch.randn(64, 8, 32, 32).bfloat16().contiguous(memory_format=torch.channels_last)
    first, second = (normalise(nn.BatchNorm2d(8), x) for _ in range(2))
    assert torch.equal(first, second)


def test_without_a_compiler_torchs_own_is_used(without_compiler: Callable[[str], None]) -> None:
    without_compiler(
        "import torch\n"
        "from trainables.native import batch_norm\n"
        "assert not batch_norm.is_available()\n"
        "x = torch.randn(4, 8, 4, 4).contiguous(memory_format=torch.channels_last)\n"
        "y = batch_norm.normalise(torch.nn.BatchNorm2d(8), x)\n"
        "assert torch.equal(y, torch.nn.BatchNorm2d(8)(x).relu())\n"
    )
