"""GPU shares from measured memory, with numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.on_ray.gpu_shares import CONTEXT, MARGIN, MOST, GpuShares, gpu_share

GIB = 1 << 30


@pytest.mark.parametrize(
    ("peak", "share"),
    [
        (20 * GIB, 0.5),  # 27 GiB with margin and context: 80 holds two
        (9 * GIB, 0.1666),  # 12.7 GiB: six; rounded down, so that six of them fit
        (70 * GIB, 1.0),
        (1 * GIB, 1 / MOST),
        (None, 1.0),
        (0, 1.0),
    ],
)
def test_as_many_trials_share_a_gpu_as_its_memory_holds(peak: int | None, share: float) -> None:
    assert gpu_share(peak, 80 * GIB) == share
    assert gpu_share(peak, None) == 1.0


@given(st.integers(1, 200 * GIB), st.integers(4 * GIB, 200 * GIB))
def test_trials_that_share_a_gpu_fit_together(peak: int, device: int) -> None:
    share = gpu_share(peak, device)
    together = int(1 / share)
    assert together == 1 or together * (peak * MARGIN + CONTEXT) <= device
    assert together * share <= 1
    assert round(share, 4) == share


def row(width: int, peak: int, device: int | None = 80 * GIB) -> dict[str, Any]:
    return {"encoder": "resnet18", "width": width, "peak_memory": peak, "device_memory": device}


def test_a_width_takes_a_whole_gpu_until_one_of_its_trials_has_ended() -> None:
    shares = GpuShares([row(8, 7 * GIB), row(8, 5 * GIB), row(16, 3 * GIB, device=None)])
    assert shares.of("resnet18", 8) == gpu_share(7 * GIB, 80 * GIB) == 0.1428
    assert shares.of("resnet18", 16) == 1.0  # measured on a CPU: says nothing of a GPU
    assert shares.of("resnet34", 8) == 1.0
    shares.note(row(16, 9 * GIB))
    assert shares.of("resnet18", 16) == 0.1666
    shares.note(row(64, 30 * GIB, device=40 * GIB))
    assert shares.of("resnet18", 8) == gpu_share(7 * GIB, 40 * GIB)  # the smallest card seen
