"""The contract test: what ships and what the examples show keep to it; what breaks it is named."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study import sampler_contract as of_sampler
from study.samplers import SAMPLERS
from tests.in_process import mixco
from trainables import own_objects
from trainables.arms import ARMS
from trainables.arms.base import Arm, Draws, Mix
from trainables.arms.mixture import Mixture
from trainables.contract import arm as of_arm
from trainables.contract import dataset as of_dataset
from trainables.contract import encoder as of_encoder
from trainables.contract import method as of_method
from trainables.contract.points import Point, Verdict, run
from trainables.data.sources import SOURCES
from trainables.encoders import ENCODERS
from trainables.encoders.embedding import Encoder
from trainables.methods import METHODS
from trainables.methods.module import ContrastiveMethod, Losses

EXAMPLES = Path(__file__).parent.parent / "examples"
Points = Callable[[str], list[Point]]


pytestmark = pytest.mark.usefixtures("one_thread")


def problems(points: list[Point], *names: str) -> dict[str, str]:
    """What is wrong with the points whose names begin so."""
    chosen = [point for point in points if point.name.startswith(names)]
    assert chosen
    return {found.name: found.problem for found in run(chosen) if found.problem}


class Halves(Arm):
    """An arm that keeps to the contract; each test breaks it in one place."""

    name = "tests.own:Halves"
    summary = "two halves"
    extra_images = 0.5
    share = 0.5

    def mixer(self, config: Any, draws: Draws) -> Mix:
        return self.mix

    def mix(self, view: Tensor) -> Mixture:
        rows = torch.arange(len(view) // 2)
        images = 0.5 * view[rows] + 0.5 * view[rows + len(rows)]
        return Mixture(images, rows, rows + len(rows), torch.full((len(rows),), self.share))


class TooMany(Halves):
    extra_images = 1.0


class NoDistribution(Halves):
    share = 1.25


class WrongRows(Halves):
    def mix(self, view: Tensor) -> Mixture:
        return super().mix(view)._replace(second=torch.arange(len(view) // 2) + len(view))


class Unseeded(Halves):
    def mix(self, view: Tensor) -> Mixture:
        found = super().mix(view)
        return found._replace(images=found.images + torch.randn(found.images.shape))


class InPlace(Halves):
    def mix(self, view: Tensor) -> Mixture:
        found = super().mix(view)
        view.zero_()
        return found


class Raises(Halves):
    def mix(self, view: Tensor) -> Mixture:
        raise KeyError("side")


IMAGES = ("makes as many", "targets", "draws")


def test_an_arm_that_keeps_to_the_contract_has_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARMS._own, Halves.name, Halves())
    assert problems(of_arm.points(Halves.name), *IMAGES) == {}


@pytest.mark.parametrize(
    ("broken", "point", "line"),
    [
        (TooMany, "makes as many", "images are [8, 3, 8, 8], extra_images = 1 stands for [16,"),
        (NoDistribution, "targets", "share lies from 1.25 to 1.25, outside 0 to 1"),
        (WrongRows, "targets", "second has rows 16 to 23; the batch has 0 to 15"),
        (Unseeded, "draws", "draws from torch's global generator"),
        (InPlace, "draws", "the view was changed in place"),
        (Raises, "targets", "raised KeyError: 'side' ("),
    ],
)
def test_a_broken_point_of_an_arm_is_one_line(
    broken: type[Halves], point: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARMS._own, Halves.name, broken())
    (problem,) = problems(of_arm.points(Halves.name), point).values()
    assert line in problem
    assert "\n" not in problem
    assert "test_contract.py, line" in problem or broken is not Raises


class Careless(ContrastiveMethod):
    """A method that counts wrong, keeps state beside its buffers, and forgets a head."""

    passes_with_gradient = 2.0

    def __init__(self, config: Any, channels: int) -> None:
        super().__init__(config, channels)
        self.unused = nn.Linear(2, 2)
        self.steps = 0

    def forward(
        self, view1: Tensor, view2: Tensor, mix: Mix | None, shuffle: Tensor | None = None
    ) -> Losses:
        self.steps += 1
        loss = (1 + 0.01 * self.steps) * self.embedding(view1).square().sum(0).mean()
        return Losses(loss, loss, None)

    def trained_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())


def test_broken_points_of_a_method_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{__name__}:Careless"
    monkeypatch.setitem(METHODS._own, path, Careless.describe())
    points = [point for point in of_method.points(path) if point.name.endswith("(none)")]
    found = problems(points, "losses", "a restored", "the work", "kept")
    none = {name.partition(" (")[0]: line for name, line in found.items()}
    assert "unused.weight has no gradient" in none.pop(
        "losses and gradients are finite, and every trained weight has a gradient"
    )
    assert "in no parameter and no buffer" in none.pop("a restored trial goes on bit for bit")
    assert "passes_with_gradient" in none.pop("the work of a step is what FLOPs are counted from")
    assert none == {}


SELFISH = """
from trainables.device import world
from trainables.methods.simclr import SimCLR


class Selfish(SimCLR):
    def forward(self, view1, view2, mix, shuffle=None):
        losses = super().forward(view1, view2, mix, shuffle)
        if world.size() == 1 or self.arm.name == "none":
            return losses
        if self.arm.name == "mixco":
            raise ArithmeticError("not with two workers")
        return losses._replace(total=1.5 * losses.total)
"""


@pytest.mark.slow
def test_what_breaks_with_two_workers_is_told_apart_by_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selfish.py").write_text(SELFISH)
    monkeypatch.chdir(tmp_path)
    found = problems(of_method.points("selfish:Selfish"), "two workers")
    lines = {name.partition("(")[2]: line for name, line in found.items()}
    assert lines.pop("mixco)").startswith("raised ArithmeticError: not with two workers (")
    assert lines.pop("i-mix)").startswith("losses of worker 1 of 2 differs from one worker's by")
    assert lines == {}


class Pooled(Encoder):
    """An encoder whose features are not as many as it declares, and whose batch leaks."""

    def __init__(self, encoder: str, width: int, stem: str, channels: int) -> None:
        super().__init__()
        self.features = 2 * width
        self.layer = nn.Linear(channels, width)

    def forward(self, images: Tensor) -> Tensor:
        pooled = images.mean((2, 3))
        return self.layer(pooled - pooled.mean(0))


def test_broken_points_of_an_encoder_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{__name__}:Pooled"
    monkeypatch.setitem(ENCODERS._own, path, Pooled.describe())
    found = problems(of_encoder.points(path), "images", "weights", "in evaluation", "parameters")
    assert list(found) == [
        "images become as many features as it declares",
        "in evaluation an image's features do not depend on the others",
    ]
    assert "become [4, 4], not [4, 8]" in found["images become as many features as it declares"]


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with the modules that docs/extending.md shows, and their data."""
    text = (EXAMPLES.parent / "docs" / "extending.md").read_text()
    blocks = [dedent(block) for block in re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)]
    for module, sign in (("arrays", "class Arrays"), ("wide", 'Sampler("wide"')):
        (block,) = (block for block in blocks if sign in block)
        (tmp_path / f"{module}.py").write_text(block.partition("\nmixco check")[0])
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    labels = np.array([2, 5, 9] * 20)
    parts = {"train": slice(0, 45), "test": slice(45, None)}
    arrays = {f"{name}_images": images[part] for name, part in parts.items()}
    arrays |= {f"{name}_labels": labels[part] for name, part in parts.items()}
    np.savez(tmp_path / "birds.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXCO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(own_objects._FOLDERS, "folders", [])
    for registry in (SOURCES, SAMPLERS):
        monkeypatch.setattr(registry, "_own", {})
    for module in ("arrays", "wide"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_the_data_set_and_the_sampler_of_the_documentation_keep_to_the_contract(
    documented: Path,
) -> None:
    for kind, name in (("dataset", "arrays:Arrays:birds.npz"), ("sampler", "wide:sampler")):
        ended = mixco("check", kind, name)
        assert ended.code == 0, ended.out
        assert ended.out.count("ok: ") >= 5


ARRAYS = ("arrays.py", "arrays:Arrays:birds.npz")
WIDE = ("wide.py", "wide:sampler")


@pytest.mark.parametrize(
    ("of", "old", "new", "point", "line"),
    [
        (ARRAYS, "(address.name,", "('birds',", "is found", "the name is 'birds', not 'arrays:Arr"),
        (ARRAYS, "stamp_files([address.path])", "str(id(read))", "is found", "the stamp differs"),
        (ARRAYS, "np.searchsorted(names, ", "(", "labels", "labels of the train split are 2 to 9;"),
        (ARRAYS, "np.unique(arrays", "np.array([2, 5, 9, 11]) + 0 * len(arrays", "labels",
         "no training image is of class 11"),
        (ARRAYS, "arrays = np.load(address.path)", "arrays = dict(np.load(address.path)); "
         "arrays['train_images'] ^= np.random.randint(1, 99, dtype=np.uint8)", "an image",
         "two readings give different images"),
        (WIDE, "seed=seed", "seed=None", "the same seed", "suggestions differ with the same seed"),
        (WIDE, "seed=seed", "seed=3", "the same seed", "the same with another seed"),
        (WIDE, "TPESampler(", "dict(", "makes", "returns dict, not an optuna BaseSampler"),
        (WIDE, "return TPESampler(seed=seed, n_startup_trials=startup_trials, n_ei_candidates=96)",
         "from optuna.samplers import NSGAIISampler; return NSGAIISampler(seed=seed, "
         "population_size=2)", "a resumed", "needs replayed=True"),
    ],
)  # fmt: skip
def test_a_broken_point_of_a_data_set_or_a_sampler_is_one_line(
    of: tuple[str, str], old: str, new: str, point: str, line: str, documented: Path
) -> None:
    file, name = of
    text = (documented / file).read_text()
    assert old in text
    (documented / file).write_text(text.replace(old, new))
    points = of_dataset.points if of is ARRAYS else of_sampler.points
    (problem,) = problems(points(name), point).values()
    assert line in problem
    assert "\n" not in problem


def test_images_of_both_splits_are_found(documented: Path) -> None:
    with np.load("birds.npz") as arrays:
        shared = {**arrays, "test_images": arrays["train_images"][:15]}
    np.savez("birds.npz", **shared)
    (problem,) = problems(of_dataset.points(ARRAYS[1]), "training").values()
    assert problem == "15 of 15 test images are training images, too"


@pytest.mark.slow
def test_contents_that_follow_the_order_of_a_set_are_found(documented: Path) -> None:
    text = (documented / "arrays.py").read_text()
    unsorted = "np.array(list(set(map(str, arrays['train_labels'])) | set('abcdefgh'))[:3])"
    text = text.replace('np.unique(arrays["train_labels"])', unsorted)
    (documented / "arrays.py").write_text(text.replace("np.searchsorted(names, ", "0 * ("))
    (problem,) = problems(of_dataset.points(ARRAYS[1]), "the contents").values()
    assert "differ between two processes" in problem


@pytest.mark.parametrize(
    "name",  # a Gaussian process takes 20 seconds
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "gp")) for name in SAMPLERS],
)
def test_every_sampler_keeps_to_the_contract(name: str) -> None:
    assert [found for found in run(of_sampler.points(name)) if found.problem] == list[Verdict]()


def test_digits_keep_to_the_contract() -> None:
    assert [found for found in run(of_dataset.points("digits")) if found.problem] == list[Verdict]()


def test_a_wrong_name_is_one_line() -> None:
    ended = mixco("check", "arm", "no_such_module:Arm")
    assert ended.code == 2
    assert "there is no module no_such_module" in ended.err
    assert ended.err.count("\n") == 1


# Trials of each method are among those of each arm.
KINDS: list[tuple[Points, str]] = [
    *((of_arm.points, name) for name in ARMS),
    (of_encoder.points, "resnet10"),
]


@pytest.mark.parametrize("name", METHODS)
def test_methods_that_ship_are_classes_of_the_contract(name: str) -> None:
    assert problems(of_method.points(name), "is a class") == {}


@pytest.mark.slow
@pytest.mark.parametrize(("points", "name"), KINDS, ids=[name for _, name in KINDS])
def test_what_ships_keeps_to_the_contract(points: Points, name: str) -> None:
    # Two workers are compared with one in tests/test_workers.py, and for the examples below.
    alone = [point for point in points(name) if not point.name.startswith("two workers")]
    assert [found for found in run(alone) if found.problem] == list[Verdict]()


@pytest.mark.slow
def test_an_encoder_of_bottlenecks_keeps_to_the_contract() -> None:
    # Its trials are those of resnet10, and take ten times as long.
    own = [point for point in of_encoder.points("resnet50") if not point.name.endswith(")")]
    assert len(own) == 4
    assert [found for found in run(own) if found.problem] == list[Verdict]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "folder"),
    [
        ("arm", "cutmix:CutMix", "own_arm"),
        ("method", "byol:BYOL", "own_method"),
        ("encoder", "plain:PlainNet", "own_encoder"),
    ],
)
def test_the_examples_keep_to_the_contract(
    kind: str, name: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES / folder)
    ended = mixco("check", kind, name)
    assert ended.code == 0, ended.out
    assert ended.out.count("ok: ") > 10
