"""Search spaces: names of TrialConfig's fields to Optuna's distributions.

A space belongs to a method and an arm. Every arm tunes what the baseline tunes. An arm that mixes
images also tunes its own mixing parameters.
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

from trainables.arms import ARMS
from trainables.config import Role, TrialConfig, fields_with
from trainables.errors import InputError
from trainables.methods import METHODS

Space = dict[str, BaseDistribution]

# Ranges reach a factor of five or more to either side of the papers' settings for batches of 64 to
# 512 images: MoCo v2 (arXiv:2003.04297), SimCLR (arXiv:2002.05709), MixCo (arXiv:2010.06300).
_RANGES: Space = {
    "learning_rate": FloatDistribution(0.003, 0.3, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-3, log=True),
    "temperature": FloatDistribution(0.05, 1.0, log=True),
    "key_momentum": CategoricalDistribution((0.99, 0.996, 0.999)),
    "mix_weight": FloatDistribution(0.1, 5.0, log=True),
    "mix_alpha": FloatDistribution(0.2, 4.0, log=True),
    "mix_temperature": FloatDistribution(0.02, 1.0, log=True),
}
"""The shipped ranges, in the order in which a search draws them."""

_OF_METHODS = {name for method in METHODS.values() for name in method.fields}
_OF_ARMS = {name for arm in ARMS.values() for name in arm.fields}


def space(method: str, arm: str) -> Space:
    """The shipped space of one method and arm.

    It has the fields that every trial uses, and those that this method and this arm have.

    Raises:
        InputError: no such method or arm.
    """
    own = {*METHODS.find(method).fields, *ARMS.find(arm).fields}
    others = (_OF_METHODS | _OF_ARMS) - own
    return {name: values for name, values in _RANGES.items() if name not in others}


SPACES: dict[tuple[str, str], Space] = {
    (method, arm): space(method, arm) for method in METHODS for arm in ARMS
}
"""The shipped spaces by (method, arm)."""

SEARCHABLE = fields_with(Role.HYPERPARAMETER)
"""The fields that a search may vary."""


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
        if name in _OF_ARMS and name not in ARMS.find(arm).fields:
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
    if name not in SEARCHABLE:
        allowed = ", ".join(sorted(SEARCHABLE))
        raise InputError(f"space.{name}: cannot be searched (allowed: {allowed})")
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
