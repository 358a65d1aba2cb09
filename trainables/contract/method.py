"""The contract of a method: its trials without mixing, with mixing, and with a replacing arm."""

from __future__ import annotations

from functools import partial

from trainables.config import TrialConfig
from trainables.contract import trials
from trainables.contract.points import Point, require
from trainables.contract.steps import small
from trainables.methods import METHODS
from trainables.methods.module import ContrastiveMethod, method_class

_ARMS = ("none", "mixco", "i-mix")
"""No extra images; extra images beside the clean ones; images in place of the clean ones."""


def points(name: str) -> list[Point]:
    """What must hold for the method ``name``."""
    found = [Point("is a class of the contract, with fields that exist", partial(_class, name))]
    for arm in _ARMS:
        found += trials.points(small(method=name, arm=arm), arm)
    return [*found, *trials.worker_points({a: small(method=name, arm=a) for a in _ARMS})]


def _class(name: str) -> None:
    found = method_class(name)
    is_method = isinstance(found, type) and issubclass(found, ContrastiveMethod)
    require(is_method, f"{found!r} does not derive from ContrastiveMethod")
    for field in METHODS.find(name).fields:
        require(field in TrialConfig.model_fields, f"fields: {field} is no field of TrialConfig")
