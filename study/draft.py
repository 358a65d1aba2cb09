"""A new study file with comments, from a few answers; its design fits the hours there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from study.yaml_files import dump_yaml
from trainables.encoders import ENCODERS

_WIDTHS = (8, 16, 32)


@dataclass(frozen=True)
class Answers:
    """What a study compares."""

    name: str
    datasets: tuple[str, ...] = ("cifar10",)
    methods: tuple[str, ...] = ("moco", "simclr")
    encoders: tuple[str, ...] = ("resnet18",)
    widths: tuple[int, ...] | None = None
    """None: `default_widths`."""
    arms: tuple[str, ...] = ("none", "mixco")
    gpus: bool = False
    """Whether trials run on GPUs."""

    @property
    def default_widths(self) -> tuple[int, ...]:
        """Widths for the encoders of the study; none if all of them come in one size."""
        return _WIDTHS if any(ENCODERS.find(name).has_widths for name in self.encoders) else ()


class Design(NamedTuple):
    """How much each cell of a study gets."""

    searches: int
    trials: int
    epochs: int
    seeds: int = 1

    @property
    def cost(self) -> int:
        """Epochs of training for each cell."""
        return self.searches * (self.trials + self.seeds) * self.epochs


DEFAULT = Design(searches=5, trials=4, epochs=100)
_DESIGNS = (
    Design(6, 8, 800), Design(6, 6, 400), Design(5, 6, 200), DEFAULT._replace(epochs=200), DEFAULT,
    Design(5, 4, 50), Design(5, 3, 30), Design(4, 3, 20), Design(4, 2, 10), Design(4, 2, 5),
    Design(3, 2, 3),
)  # fmt: skip
"""From weeks to minutes. Gains are published after 100 epochs and more, so epochs fall last. Fewer
than three searches rarely bring a verdict, and a search of fewer than two trials is none."""


def fitting(hours: float, hours_of_an_epoch: float) -> Design | None:
    """The largest design that takes at most ``hours``; None where even the smallest takes longer.

    Args:
        hours: what there is, of the whole machine.
        hours_of_an_epoch: what one epoch of one trial of every cell takes together.
    """
    return next((d for d in _DESIGNS if d.cost * hours_of_an_epoch <= hours), None)


def smallest() -> Design:
    """The design that takes least."""
    return _DESIGNS[-1]


def study_yaml(answers: Answers, design: Design) -> str:
    """The study as YAML with a comment for each field that one may want to change."""
    lines = [
        "# What is compared: every combination of dataset, method, encoder, width and arm. A gain",
        "# is an arm's accuracy minus that of the arm none. A slope needs two widths or encoders.",
        dump_yaml({"name": answers.name}).strip(),
        _row("datasets", answers.datasets),
        _row("methods", answers.methods),
        _row("encoders", answers.encoders),
    ]
    if widths := answers.default_widths if answers.widths is None else answers.widths:
        comment = "# channels of the first stage; 64: a standard ResNet"
        lines.append(f"{_row('widths', widths)}  {comment}")
    lines += [
        _row("arms", answers.arms),
        "",
        "# Fields of a trial's configuration, for all trials: `mixco trial --help` lists them.",
        "base:",
        f"  epochs: {design.epochs}",
        f"  warmup_epochs: {_warm_up(design):g}  # lowers the risk of dimensional collapse",
        f"  knn_every: {max(1, design.epochs // 10)}  # kNN accuracy every so many epochs",
    ]
    if "simclr" in answers.methods:
        lines += [
            "of_method:",
            "  simclr: {temperature: 0.5, mix_temperature: 0.5}  # as in MixCo's published code",
        ]
    lines += [
        "",
        f"# {design.trials} trials cannot search seven parameters: these stay where they are.",
        "# `mixco space show METHOD ARM` lists what is searched.",
        "space:",
        "  weight_decay: false",
        "  key_momentum: false",
        "  mix_alpha: false",
        "",
        "# Every cell is searched several times, each time with seeds of its own. A search has",
        "# tune trials, scored on validation images; then its best configuration runs on fresh",
        "# seeds, scored on the test images. The verdict rests on how much the searches differ.",
        f"searches: {design.searches}",
        f"trials: {design.trials}",
        f"seeds: {design.seeds}",
        "",
        "# What each trial is given; as many trials run at once as there is room for.",
        "resources:",
        "  cpus: 1",
    ]
    if answers.gpus:
        lines.append("  gpus: auto  # several small encoders share a GPU")
    return "\n".join(lines) + "\n"


def _warm_up(design: Design) -> float:
    """Ten epochs as in SimCLR (Chen et al. 2020), and no more than a tenth of the training.

    Gradients of a mixing loss are large at the start; findings/cifar10 shows what they do.
    """
    return min(10, design.epochs / 10)


def _row(field: str, values: Sequence[object]) -> str:
    """A list in one line; each value as YAML writes it."""
    written = (dump_yaml({"x": value}).strip().removeprefix("x: ") for value in values)
    return f"{field}: [{', '.join(map(_in_brackets, written))}]"


def _in_brackets(text: str) -> str:
    """Quotes what a list in brackets would not read as text, but YAML does elsewhere."""
    plain = text[:1] not in "'\""
    special = text.startswith("?") or any(sign in text for sign in ",[]{}")
    return "'" + text.replace("'", "''") + "'" if plain and special else text
