"""A training step never asks the device for a value: on a GPU that would empty its queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.arms import ARMS
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, Split
from trainables.device.runtime import Runtime
from trainables.methods import METHODS
from trainables.pretraining import Pretraining

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2"}
"""Operators whose result, or its size, the processor needs before it can go on."""


class Watch(TorchDispatchMode):
    """Collects the operators that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.calls = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        self.calls += 1
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype is torch.bool
            for index in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if name in WAITING or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def colour_images(n: int) -> Dataset:
    images = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8)
    split = Split(images, torch.zeros(n, dtype=torch.long))
    return Dataset(
        "noise", ("a", "b"), "", 8, 3, (0.5,) * 3, (0.3,) * 3, split, split, split, Path()
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("arm", ARMS)
def test_no_operator_of_a_step_waits(method: str, arm: str) -> None:
    config = TrialConfig.model_validate(
        {"dataset": "noise", "method": method, "arm": arm, "encoder": "resnet10", "width": 8,
         "batch_size": 16, "queue_size": 24, "epochs": 2, "compile": "off"}
    )  # fmt: skip
    pretraining = Pretraining(config, colour_images(40), Runtime(config))
    batches = pretraining._batches()
    pretraining._step(0, *next(batches))  # the first makes the optimizer's state
    with Watch() as watch:
        pretraining._step(1, *next(batches))
    assert watch.calls > 100
    assert watch.found == []


def test_the_watch_sees_what_waits() -> None:
    values = torch.arange(4.0)
    with Watch() as watch:
        values[values > 1].sum().item()
    assert watch.found == ["index", "_local_scalar_dense"]
