"""Named starting points for a trial's configuration; what is given besides them wins."""

from __future__ import annotations

from typing import Any

from trainables.errors import InputError

RECIPES: dict[str, dict[str, Any]] = {
    # Small stem and native image size: one to two orders of magnitude less work than the paper's.
    "fast": {},
    # Kim et al. 2020 and its published code: images upsampled to 224 pixels, ImageNet stem.
    "paper": {
        "image_size": 224,
        "epochs": 100,
        "stem": "imagenet",
        "batch_size": 128,
        "learning_rate": 0.015,
        "queue_size": 65_536,
        "temperature": 0.2,
        "mix_temperature": 0.05,
        "mix_weight": 1.0,
        "mix_alpha": 1.0,
        "weight_decay": 1e-4,
        "probe": "linear_sgd",
    },
}
_PAPER_SIMCLR = {"temperature": 0.5, "mix_temperature": 0.5}  # its code; the paper leaves them open


def recipe(name: str, method: str) -> dict[str, Any]:
    """The fields that recipe ``name`` sets for ``method``.

    Raises:
        InputError: there is no such recipe.
    """
    if name not in RECIPES:
        raise InputError(f"--preset: no recipe {name!r} (allowed: {', '.join(RECIPES)})")
    fields = dict(RECIPES[name])
    if name == "paper" and method == "simclr":
        fields |= _PAPER_SIMCLR
    return fields
