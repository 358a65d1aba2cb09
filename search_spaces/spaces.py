"""Search spaces: names of TrialConfig's fields to Optuna's distributions.

A space belongs to a method and an arm. The baseline tunes everything that it has; an arm that mixes
images tunes that and its own mixing parameters besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainables.config import ARMS, METHODS, MIXING_FIELDS, TrialConfig
from trainables.errors import InputError

Space = dict[str, BaseDistribution]

# Ranges reach a factor of five or more to either side of the papers' settings for batches of 64 to
# 512 images: MoCo v2 (arXiv:2003.04297), SimCLR (arXiv:2002.05709), MixCo (arXiv:2010.06300).
_TRAINING: Space = {
    "learning_rate": FloatDistribution(0.003, 0.3, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-3, log=True),
    "temperature": FloatDistribution(0.05, 1.0, log=True),
}
_OF_METHOD: dict[str, Space] = {
    "moco": {"key_momentum": CategoricalDistribution((0.99, 0.996, 0.999))},
    "simclr": {},
}
_MIXING: Space = {
    "mix_weight": FloatDistribution(0.1, 5.0, log=True),
    "mix_alpha": FloatDistribution(0.2, 4.0, log=True),
    "mix_temperature": FloatDistribution(0.02, 1.0, log=True),
}


def _mixing(arm: str) -> Space:
    return {name: _MIXING[name] for name in MIXING_FIELDS[arm]}


SPACES: dict[tuple[str, str], Space] = {
    (method, arm): {**_TRAINING, **_OF_METHOD[method], **_mixing(arm)}
    for method in METHODS
    for arm in ARMS
}
"""The shipped spaces by (method, arm)."""

_NOT_SEARCHED = frozenset(
    {"dataset", "method", "arm", "encoder", "width", "seed", "eval_datasets", "probe", "epochs"}
    | {"validation_fraction", "device", "precision", "compile", "knn_every", "image_size"}
    | {"sync_batch_norm"}
)
"""Fields that say what is compared, what is measured or where it runs: never tuned."""


def space(method: str, arm: str) -> Space:
    """The shipped space of one method and arm.

    Raises:
        InputError: no such method or arm.
    """
    if method not in METHODS:
        raise InputError(f"method: {method!r} is unknown (allowed: {', '.join(METHODS)})")
    if arm not in ARMS:
        raise InputError(f"arm: {arm!r} is unknown (allowed: {', '.join(ARMS)})")
    return dict(SPACES[method, arm])


def narrow(shipped: Space, changes: Mapping[str, Any], arm: str) -> Space:
    """``shipped`` with a study's changes: ranges replaced, parameters added or left out.

    ``False`` leaves a parameter at its fixed value; anything else is read by `parse_distribution`.
    Mixing parameters that ``arm`` does not have are passed over.

    Raises:
        InputError: a change is malformed or names a field that is never tuned.
    """
    changed = dict(shipped)
    for name, value in changes.items():
        distribution = None if value is False else parse_distribution(name, value)
        if name in _MIXING and name not in MIXING_FIELDS[arm]:
            continue
        if distribution is None:
            changed.pop(name, None)
        else:
            changed[name] = distribution
    return changed


def parse_distribution(name: str, value: Any) -> BaseDistribution:
    """``{low, high, log, step}`` or a list of choices as a distribution of the field ``name``.

    Raises:
        InputError: unknown or never tuned field, malformed range.
    """
    searchable = sorted(set(TrialConfig.model_fields) - _NOT_SEARCHED)
    if name not in searchable:
        raise InputError(f"space.{name}: cannot be searched (allowed: {', '.join(searchable)})")
    form = (
        "{low: A, high: B, log: true|false, step: C}, a list of choices, or false to leave it out"
    )
    try:
        if isinstance(value, list) and value:
            return CategoricalDistribution(value)
        if not isinstance(value, Mapping) or not {"low", "high"} <= set(value):
            raise InputError(f"space.{name}: {value!r} is not a range; give {form}")
        unknown = set(value) - {"low", "high", "log", "step"}
        if unknown:
            raise InputError(f"space.{name}: unknown {', '.join(sorted(unknown))}; give {form}")
        whole = TrialConfig.model_fields[name].annotation is int
        if whole:
            if any(type(value.get(key, 1)) is not int for key in ("low", "high", "step")):
                raise InputError(f"space.{name}: whole numbers are expected, got {value!r}")
            return IntDistribution(**{"step": 1, **value})
        step = value.get("step")
        return FloatDistribution(
            float(value["low"]),
            float(value["high"]),
            log=value.get("log", False),
            step=None if step is None else float(step),
        )
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"space.{name}: {' '.join(str(error).split())}; give {form}") from None


def corners(distributions: Space) -> list[dict[str, Any]]:
    """The extreme values of each parameter, the others at their low end: where configs break."""
    ends = {name: ends_of(distribution) for name, distribution in distributions.items()}
    lowest = {name: values[0] for name, values in ends.items()}
    return [lowest] + [
        {**lowest, name: value} for name, values in ends.items() for value in values[1:]
    ]


def ends_of(distribution: BaseDistribution) -> list[Any]:
    """The lowest and the highest value, or every choice."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def nearest(distribution: BaseDistribution, value: Any) -> Any:
    """``value`` where the distribution has it, else the value of the distribution closest to it."""
    if isinstance(distribution, CategoricalDistribution):
        if value in distribution.choices:
            return value
        numbers = [choice for choice in distribution.choices if isinstance(choice, int | float)]
        if numbers and isinstance(value, int | float):
            return min(numbers, key=lambda choice: abs(choice - value))
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    clipped = min(max(value, distribution.low), distribution.high)
    if distribution.step:
        steps = round((clipped - distribution.low) / distribution.step)
        clipped = min(distribution.low + steps * distribution.step, distribution.high)
    return clipped
