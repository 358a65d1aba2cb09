"""The contract of an encoder: its features and their capacity, and its trials."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from trainables.config import TrialConfig
from trainables.contract import trials
from trainables.contract.points import Point, require
from trainables.contract.steps import small
from trainables.device.flops import encoder_flops, encoder_parameters
from trainables.encoders import ENCODERS
from trainables.encoders.embedding import Encoder, build_encoder
from trainables.methods import METHODS

_SIDE = 32
_N = 4


def points(name: str) -> list[Point]:
    """What must hold for the encoder ``name``."""
    checks = {
        "images become as many features as it declares": _features,
        "weights are drawn by the seed alone": _weights,
        "in evaluation an image's features do not depend on the others": _evaluation,
        "parameters and FLOPs can be counted without computing": _counted,
    }
    found = [Point(text, partial(check, name)) for text, check in checks.items()]
    for method in METHODS:
        found += trials.points(_config(name, method=method), method)
    return [*found, *trials.worker_points({"moco": _config(name)})]


def _config(name: str, **fields: Any) -> TrialConfig:
    family = ENCODERS.find(name)
    widths = {} if family.has_widths else {"width": 0}
    size = {"image_size": _SIDE, "batch_size": 32}
    return small(encoder=name, stem=family.stems[0], arm="none", **widths, **size, **fields)


def _built(name: str, channels: int, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return build_encoder(_config(name), channels)


def _images(channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(_N, channels, _SIDE, _SIDE, generator=generator)


def _features(name: str) -> None:
    for channels in (1, 3):
        encoder = _built(name, channels)
        require(
            isinstance(encoder, Encoder), f"{type(encoder).__name__} does not derive from Encoder"
        )
        shape = list(encoder(_images(channels)).shape)
        require(
            shape == [_N, encoder.features],
            f"{_N} images of {channels} channels become {shape}, not [{_N}, {encoder.features}]",
        )


def _weights(name: str) -> None:
    first, again, other = (_built(name, 3, seed).state_dict() for seed in (0, 0, 1))
    for key, value in first.items():
        require(torch.equal(again[key], value), f"{key} differs between two builds with one seed")
    require(
        any(not torch.equal(other[key], value) for key, value in first.items()),
        "weights are the same with another seed: draw them from torch's global generator",
    )


@torch.no_grad()
def _evaluation(name: str) -> None:
    encoder = _built(name, 3).eval()
    together, alone = encoder(_images(3)), encoder(_images(3)[:1])
    difference = float((together[:1] - alone).abs().max())
    require(
        difference <= 1e-4 * max(1.0, float(together.abs().max())),
        f"features of an image alone differ by {difference:.2g} from those within a batch",
    )


def _counted(name: str) -> None:
    config = _config(name)
    built = sum(parameter.numel() for parameter in _built(name, 3).parameters())
    counted = encoder_parameters(config, _SIDE, 3)
    require(counted == built, f"counted {counted} parameters, the encoder has {built}")
    require(encoder_flops(config, _SIDE, 3) > 0, "no FLOPs: nothing in it is a product")
