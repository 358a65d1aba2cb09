"""Search spaces: names of TrialConfig's fields to Optuna's distributions.

A space belongs to a method and an arm. Every arm tunes what the baseline tunes. An arm that mixes
images also tunes its own mixing parameters.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainables.arms import ARMS
from trainables.config import Role, TrialConfig, fields_with
from trainables.errors import InputError, cause, listed, shown
from trainables.methods import METHODS
from trainables.own_parameters import Declared, Parameter

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

    It has the fields that every trial uses, those that this method and this arm have, and the
    parameters that the two declare themselves with a space.

    Raises:
        InputError: no such method or arm, or a declared space is malformed.
    """
    declared = {
        parameter.name: parse_distribution(parameter.name, parameter.space, parameter)
        for parameter in own_parameters(method, arm).values()
        if parameter.space is not None
    }
    own = {*METHODS.find(method).fields, *ARMS.find(arm).fields}
    others = (_OF_METHODS | _OF_ARMS) - own
    return {**{name: values for name, values in _RANGES.items() if name not in others}, **declared}


def own_parameters(method: str, arm: str) -> Declared:
    """The parameters that this method and this arm declare themselves.

    An encoder's are not among them: they set the capacity, which a search of a cell keeps.

    Raises:
        InputError: no such method or arm.
    """
    return {
        p.name: p for p in (*METHODS.find(method).own_parameters, *ARMS.find(arm).own_parameters)
    }


SEARCHABLE = fields_with(Role.HYPERPARAMETER)
"""The fields that a search may vary."""


def narrow(
    shipped: Space,
    changes: Mapping[str, Any],
    arm: str,
    declared: Collection[str] = (),
    own: Mapping[str, Parameter] | None = None,
) -> Space:
    """``shipped`` with a study's changes: ranges replaced, parameters added or left out.

    ``False`` leaves a parameter at its fixed value; anything else is read by `parse_distribution`.
    Mixing parameters that ``arm`` does not have are passed over, and so are own parameters that
    another arm or method of the study declares.

    Args:
        shipped: the result of `space`.
        changes: the study's, by name.
        arm: whose space this is.
        declared: the names of the own parameters that this arm and its method declare.
        own: the own parameters of all arms and methods of the study, by name.

    Raises:
        InputError: a change is malformed or names a field that is never tuned.
    """
    changed = dict(shipped)
    for name, value in changes.items():
        parameter = (own or {}).get(name)
        distribution = None if value is False else parse_distribution(name, value, parameter)
        if parameter is not None and name not in declared:
            continue
        if name in _OF_ARMS and name not in ARMS.find(arm).fields:
            continue
        if distribution is None:
            changed.pop(name, None)
        else:
            changed[name] = distribution
    return changed


def parse_distribution(
    name: str, value: Any, parameter: Parameter | None = None
) -> BaseDistribution:
    """``{low, high, log, step}`` or a list of choices as a distribution of the field ``name``.

    Args:
        name: a field of `TrialConfig`, or an own parameter's.
        value: the range or the choices.
        parameter: the own parameter of that name, if it is one.

    Raises:
        InputError: unknown or never tuned field, malformed range.
    """
    if parameter is None and name not in SEARCHABLE:
        allowed = ", ".join(sorted(SEARCHABLE))
        raise InputError(f"space.{name}: cannot be searched (allowed: {allowed})")
    if isinstance(value, list | tuple) and value:
        if any(not isinstance(choice, bool | int | float | str | None) for choice in value):
            raise InputError(f"space.{name}: a choice is a number, a text, true, false or null")
        return CategoricalDistribution(value)
    if not isinstance(value, Mapping) or not {"low", "high"} <= set(value):
        raise InputError(f"space.{name}: {shown(repr(value))} is not a range; give {_FORM}")
    if unknown := set(value) - {"low", "high", "log", "step"}:
        raise InputError(f"space.{name}: unknown {listed(sorted(map(str, unknown)))}; give {_FORM}")
    try:
        kind = type(parameter.default) if parameter else TrialConfig.model_fields[name].annotation
        return _range(kind is int, **value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"space.{name}: {cause(error)}; give {_FORM}") from None


_FORM = "{low: A, high: B, log: true|false, step: C}, a list of choices, or false to leave it out"


def _range(
    whole: bool, low: Any, high: Any, log: Any = False, step: Any = None
) -> IntDistribution | FloatDistribution:
    """A range of whole numbers or of any; the highest value is the last that steps reach.

    Raises:
        ValueError: not numbers of that kind, or Optuna refuses the range.
        OverflowError: a number is larger than a float can be.
    """
    if type(log) is not bool:
        raise ValueError(f"log: true or false is expected, got {shown(repr(log))}")
    for key, number in (("low", low), ("high", high), ("step", step)):
        if number is None and key == "step":
            continue
        kinds = (int,) if whole else (int, float)
        if type(number) not in kinds or not math.isfinite(number):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{key}: {kind} is expected, got {shown(repr(number))}")
    with warnings.catch_warnings():  # that the highest value was moved onto a step
        warnings.simplefilter("ignore")
        if whole:
            return IntDistribution(low, high, log=log, step=1 if step is None else step)
        wide = None if step is None else float(step)
        return FloatDistribution(float(low), float(high), log=log, step=wide)


def telling_suggestions(space: Space) -> list[dict[str, Any]]:
    """A few suggestions. If all of them are valid, every suggestion of ``space`` is valid.

    One parameter at a time takes its `telling_values`; the others keep their first one.
    """
    values = {name: telling_values(distribution) for name, distribution in space.items()}
    first = {name: found[0] for name, found in values.items()}
    return [first] + [
        {**first, name: value} for name, found in values.items() for value in found[1:]
    ]


def telling_values(distribution: BaseDistribution) -> list[Any]:
    """A few values. If all of them obey a rule of a field, all values of the distribution do.

    A rule of a `TrialConfig` field is a range or a multiple. If both ends of the distribution lie
    in a range, so do all values. If the lowest value and the next one are multiples of a number, so
    is their difference, the step, and so are all values. So three values suffice for a distribution
    of any size. Of choices, all are returned.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    second = min(low + step, high) if step else low
    return list(dict.fromkeys((low, second, high)))


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
