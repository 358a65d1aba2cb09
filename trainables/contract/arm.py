"""The contract of an arm: its images, their targets, and its trials with each shipped method."""

from __future__ import annotations

from functools import partial

import torch

from trainables.arms import ARMS
from trainables.arms.base import Draws, Mix
from trainables.arms.mixture import Mixture
from trainables.contract import trials
from trainables.contract.points import Point, require
from trainables.contract.steps import small
from trainables.methods import METHODS
from trainables.streams import stream

_N, _CHANNELS, _SIDE = 16, 3, 8


def points(name: str) -> list[Point]:
    """What must hold for the arm ``name``."""
    found = []
    if ARMS.find(name).makes_images:
        checks = {
            "makes as many images as it declares, of the view's shape": _shapes,
            "targets are distributions over the batch": _targets,
            "draws from its generator only, and leaves the view as it was": _draws,
        }
        found = [Point(text, partial(check, name)) for text, check in checks.items()]
    for method in METHODS:
        found += trials.points(small(arm=name, method=method), method)
    return [*found, *trials.worker_points({m: small(arm=name, method=m) for m in METHODS})]


def _view(seed: int, images: int = _N) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, _CHANNELS, _SIDE, _SIDE, generator=generator)


def _mixer(name: str, seed: int = 0) -> Mix:
    generator = stream(seed, "mixing")
    draws = Draws(generator, lambda count: _view(9, count))
    mix = ARMS.find(name).mixer(small(arm=name), draws)
    require(mix is not None, "mixer returns None, and makes_images is true")
    assert mix is not None
    return mix


def _mixture(name: str) -> Mixture:
    mixture = _mixer(name)(_view(1))
    require(isinstance(mixture, Mixture), f"mixer makes {type(mixture).__name__}, not a Mixture")
    return mixture


def _shapes(name: str) -> None:
    mixture, arm = _mixture(name), ARMS.find(name)
    clean = _N if arm.replaces_contrastive else 0
    expected = [int(arm.extra_images * _N) + clean, _CHANNELS, _SIDE, _SIDE]
    require(
        list(mixture.images.shape) == expected,
        f"images are {list(mixture.images.shape)}, extra_images = {arm.extra_images:g} stands for "
        f"{expected} where a view is {[_N, *expected[1:]]}",
    )
    for field in ("first", "second", "share"):
        shape = list(getattr(mixture, field).shape)
        require(shape == expected[:1], f"{field} is {shape}, one number for each image is needed")


def _targets(name: str) -> None:
    mixture = _mixture(name)
    for field in ("first", "second"):
        rows = getattr(mixture, field)
        require(rows.dtype == torch.int64, f"{field} is {rows.dtype}, not torch.int64")
        first, last = int(rows.min()), int(rows.max())
        require(
            0 <= first <= last < _N,
            f"{field} has rows {first} to {last}; the batch has 0 to {_N - 1}",
        )
    low, high = float(mixture.share.min()), float(mixture.share.max())
    require(0 <= low <= high <= 1, f"share lies from {low:g} to {high:g}, outside 0 to 1")
    sums = mixture.targets(_N).sum(1)
    require(
        bool((sums - 1).abs().max() < 1e-5),
        f"targets sum to between {float(sums.min()):g} and {float(sums.max()):g}, not to 1",
    )


def _draws(name: str) -> None:
    view = _view(1)
    before = torch.get_rng_state()
    first = _mixer(name)(view)
    require(torch.equal(view, _view(1)), "the view was changed in place; make new images")
    require(torch.equal(torch.get_rng_state(), before), "draws from torch's global generator")
    again = _mixer(name)(_view(1))
    for field, one, other in zip(Mixture._fields, first, again, strict=True):
        require(torch.equal(one, other), f"{field} differs between two calls with one seed")
