"""Search spaces: every corner builds a valid config, and changes to them are checked."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces import narrow, parse_distribution, space
from search_spaces.spaces import nearest, telling_values
from trainables.arms import ARMS
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.methods import METHODS


@pytest.mark.parametrize(("method", "arm"), [*itertools.product(METHODS, ARMS)])
def test_every_corner_of_every_space_builds_a_valid_config(method: str, arm: str) -> None:
    distributions = space(method, arm)
    ends = [telling_values(distribution) for distribution in distributions.values()]
    for corner in itertools.product(*ends):
        values = dict(zip(distributions, corner, strict=True))
        TrialConfig.model_validate({"method": method, "arm": arm, **values})


def test_mixing_parameters_exist_only_where_the_arm_has_them() -> None:
    mixing = {"mix_weight", "mix_alpha", "mix_temperature"}
    for method, arm in itertools.product(METHODS, ARMS):
        assert set(space(method, arm)) & mixing == set(ARMS[arm].fields)
        assert space(method, "none").items() <= space(method, arm).items()


def test_a_space_handed_out_can_be_changed_without_changing_the_shipped_one() -> None:
    space("moco", "none").clear()
    assert space("moco", "none")


def test_changes_replace_add_and_leave_out() -> None:
    changed = narrow(
        space("moco", "none"),
        {
            "temperature": {"low": 0.1, "high": 0.3},
            "weight_decay": False,
            "batch_size": [128, 256],
            "queue_size": {"low": 64, "high": 1024, "log": True},
            "mix_weight": {"low": 1.0, "high": 2.0},
        },
        "none",
    )
    assert changed["temperature"] == FloatDistribution(0.1, 0.3)
    assert changed["batch_size"] == CategoricalDistribution((128, 256))
    assert changed["queue_size"] == IntDistribution(64, 1024, log=True)
    assert "weight_decay" not in changed
    assert "mix_weight" not in changed


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temprature", {"low": 1, "high": 2}, "space.temprature: cannot be searched"),
        ("epochs", [1, 2], "space.epochs: cannot be searched"),
        ("temperature", 0.2, "is not a range"),
        ("temperature", {"low": 0.1}, "is not a range"),
        ("temperature", {"low": 2, "high": 1}, "space.temperature"),
        ("temperature", {"low": 0, "high": 1, "log": True}, "space.temperature"),
        ("temperature", {"low": "a", "high": 1}, "space.temperature"),
        ("temperature", {"low": 0.1, "high": 1, "lgo": True}, "unknown lgo"),
        ("temperature", [], "is not a range"),
        ("queue_size", {"low": 1.5, "high": 8}, "space.queue_size"),
    ],
)
def test_malformed_changes_are_one_line(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        parse_distribution(name, value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("method", "arm"), [("moko", "none"), ("moco", "mixup")])
def test_unknown_methods_and_arms_are_bad_input(method: str, arm: str) -> None:
    with pytest.raises(InputError, match=r"unknown \(allowed: "):
        space(method, arm)


DISTRIBUTIONS: list[BaseDistribution] = [
    FloatDistribution(0.1, 2.0, log=True),
    FloatDistribution(0.0, 1.0, step=0.25),
    IntDistribution(2, 20, step=3),
    CategoricalDistribution((0.99, 0.996, 0.999)),
]


@given(st.sampled_from(DISTRIBUTIONS), st.floats(-100, 100))
def test_nearest_lies_in_the_space_and_keeps_what_does(
    distribution: BaseDistribution, value: float
) -> None:
    found = nearest(distribution, value)
    assert distribution._contains(distribution.to_internal_repr(found))
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        assert found == min(max(value, distribution.low), distribution.high)
    assert nearest(distribution, found) == found
