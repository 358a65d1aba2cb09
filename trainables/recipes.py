"""Named starting points for a trial's configuration. Fields that are given besides them win."""

from __future__ import annotations

from typing import Any

from trainables.errors import InputError, meant
from trainables.methods import METHODS

RECIPES: dict[str, dict[str, Any]] = {
    # A small stem and the images' own size: 10 to 100 times less work than the paper's recipe.
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


def recipe(name: str, method: object) -> dict[str, Any]:
    """The fields that recipe ``name`` sets for ``method``: the recipe's, then the method's own.

    Raises:
        InputError: there is no such recipe or method.
    """
    if name not in RECIPES:
        near = meant(name, RECIPES)
        raise InputError(f"--recipe: no recipe {name!r}{near} (allowed: {', '.join(RECIPES)})")
    return {**RECIPES[name], **METHODS.find(method).recipes.get(name, {})}
