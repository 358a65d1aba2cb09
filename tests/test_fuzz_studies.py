"""Studies, spaces and configurations changed at random: bad input ends in one line, always."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces import narrow, parse_distribution, space
from search_spaces.spaces import SEARCHABLE, nearest, telling_suggestions
from study.agenda import Agenda
from study.cost import TrialCosts, missing_work
from study.fitting import Node, misfits
from study.spec import StudySpec, dump_spec, parse_spec
from study.yaml_files import dump_yaml
from tests.refusals import line_of
from trainables.config import TrialConfig, parse_config
from trainables.errors import InputError

TEXT = """\
name: fuzz
datasets: [digits]
methods: [moco, simclr]
encoders: [resnet18]
widths: [4, 8]
arms: [none, mixco]
base: &base {epochs: 4, batch_size: 128, precision: fp32}
of_method: {simclr: {temperature: 0.5}}
of_arm: {mixco: {mix_weight: 2.0}}
space:
  temperature: {low: 0.1, high: 0.4, log: true}
  batch_size: {low: 64, high: 128, step: 8}
  key_momentum: [0.9, 0.99]
  weight_decay: false
treat_width: stratify
trials: 3
searches: 1
seeds: [5, 6]
search: {sampler: tpe, startup_trials: 2, parallel_per_cell: 1}
stopping: {rule: asha, grace_epochs: 1, reduction_factor: 3}
match: epochs
warm_start: false
runner: null
resources: {cpus: {1: 1, 8: 2}, gpus: 0, workers: 1}
trackers: [tensorboard]
seed: 0
"""
GOOD: dict[str, Any] = {
    key: value for key, value in parse_spec(TEXT, "fuzz").model_dump().items() if value != ()
}
NUMBERS = [0, -1, 1, 2, 3, 65, 1 << 31, 10**30, 10**90, 0.5, -0.0, 1e-300, 1e308]
TEXTS = [
    "",
    "off",
    "auto",
    "compute",
    "joint",
    "cmaes",
    "x",
    "\x1b[31m",
    "a\nb",
    "é" * 300,
    "~no/x",
]
LISTS = [[], [[]], [64, 65], [4, 8, 4], ["none"]]
MAPS = [
    {},
    {1: 2},
    {"low": 1, "high": 64},
    {"low": 1, "high": 10**40, "log": True},
    {"low": 0.1, "high": 1, "step": 1},
    {"workers": 2},
    {"epochs": 99_999},
    {"nothing": 1},
]
ODD = st.sampled_from(
    [None, True, float("inf"), float("nan"), *NUMBERS, *TEXTS, *LISTS, *MAPS],
)
PATH = st.lists(st.integers(0, 30), min_size=1, max_size=3)
MUTATION = st.tuples(PATH, ODD, st.sampled_from(["replace", "remove", "add", "rename"]))


def mutated(values: dict[str, Any], mutations: list[Any]) -> dict[str, Any]:
    values = copy.deepcopy(values)
    for path, odd, how in mutations:
        holder: Any = values
        keys: list[Any] = []
        for step in path:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = keys[step % len(keys)]
            if step is path[-1] or not isinstance(holder[key], dict | list):
                break
            holder = holder[key]
        if not keys:
            continue
        match how:
            case "replace":
                holder[key] = copy.deepcopy(odd)
            case "remove":
                del holder[key]
            case "add" if isinstance(holder, list):
                holder.append(copy.deepcopy(odd))
            case "add" | "rename" if isinstance(holder, dict):
                holder["more" if how == "add" else f"{key}_"] = copy.deepcopy(odd)
    return values


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def one_line(read: Callable[[], Any]) -> Any:
    """What ``read`` returns, or None where it refuses its input, as it may only in one line."""
    try:
        return read()
    except InputError as error:
        line_of(error)
        return None


def used(spec: StudySpec) -> None:
    """What `study plan` and the driver do first with a study that was accepted."""
    assert parse_spec(dump_spec(spec), "dumped") == spec
    assert all(str(misfit).isprintable() for misfit in misfits(spec, [Node(2, 0)]))
    agenda = Agenda(spec)
    assert agenda.planned >= len(agenda.searches) * spec.trials
    due = agenda.next()
    assert due is not None
    assert due.error is None
    small = {*spec.widths} <= {4, 8} and spec.encoders == ("resnet18",)
    if small and spec.datasets == ("digits",) and not spec.base.keys() - {"epochs", "batch_size"}:
        missing_work(agenda, TrialCosts(spec, None, timed=False))


QUICK = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@QUICK
@given(st.lists(MUTATION, min_size=1, max_size=2))
def test_a_study_changed_at_random_is_used_or_refused_in_one_line(mutations: list[Any]) -> None:
    text = dump_yaml(mutated(plain(GOOD), mutations))
    spec = one_line(lambda: parse_spec(text, "fuzz.yaml"))
    if spec is not None:
        used(spec)


SIGNS = st.sampled_from(
    [*"[]{},:&*!|>%@`\"'#?-\n\t ~<=", "\x00", "\x85", "é", "<<: *base\n", "!!int "]
)


@QUICK
@given(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 9), SIGNS), max_size=3))
def test_a_study_with_damaged_signs_is_used_or_refused_in_one_line(
    edits: list[tuple[int, int, str]],
) -> None:
    text = TEXT
    for place, gone, sign in edits:
        text = text[:place] + sign + text[place + gone :]
    spec = one_line(lambda: parse_spec(text, "fuzz.yaml"))
    if spec is not None:
        used(spec)


@QUICK
@given(st.sampled_from(sorted(SEARCHABLE)), st.data())
def test_a_change_of_a_space_is_used_or_refused_in_one_line(name: str, data: Any) -> None:
    ends = st.fixed_dictionaries({"low": ODD, "high": ODD}, optional={"log": ODD, "step": ODD})
    change = data.draw(ODD | ends | st.lists(ODD, max_size=3))
    distribution = one_line(lambda: parse_distribution(name, change))
    if distribution is None:
        return
    changed = narrow(space("moco", "mixco"), {name: change}, "mixco")
    found = [
        one_line(lambda values=values: parse_config({"arm": "mixco", **values}))
        for values in telling_suggestions(changed)
    ]
    default = TrialConfig.model_fields[name].default
    if None not in found:  # a study with this space is accepted
        inside = nearest(distribution, default)
        assert distribution._contains(distribution.to_internal_repr(inside))


@QUICK
@given(st.lists(st.tuples(st.sampled_from([*TrialConfig.model_fields, "more"]), ODD), max_size=3))
def test_a_configuration_changed_at_random_is_used_or_refused_in_one_line(
    changes: list[tuple[str, Any]],
) -> None:
    config = one_line(lambda: parse_config(dict(changes), "config.yaml"))
    if config is not None:
        assert parse_config(config.model_dump(), "again") == config
        assert config.digest()
