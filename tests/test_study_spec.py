"""The YAML study: what it refuses, in one line, and what it means."""

from __future__ import annotations

import pytest

from study.plan import cells, slug
from study.spec import dump_spec, load_spec, parse_spec, presets
from trainables.errors import InputError

GOOD = "name: good\ndatasets: [digits]\nwidths: [4, 8]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "study.yaml: line"),
        ("just text", "a mapping of fields is expected"),
        ("", "a mapping of fields is expected"),
        (GOOD + "name: again\n", "line 4 'name' is given twice"),
        (GOOD + "base: {epochs: 3, epochs: 4}\n", "'epochs' is given twice"),
        (GOOD + "widhts: [4]\n", "widhts: unknown field .allowed: .*widths"),
        (GOOD + "base: {epoch: 3}\n", "epoch: unknown field"),
        (GOOD + "base: {epochs: 0}\n", "epochs: .*greater than or equal to 1"),
        (GOOD + "base: {width: 4}\n", "width is not set here"),
        (GOOD + "arms: [none, mixup]\n", "arms.1: .*mixco"),
        (GOOD + "arms: [none, none]\n", "arms: .* twice"),
        (GOOD + "seeds: 0\n", "seeds: 0 is below 1"),
        (GOOD + "seeds: [0, 1]\n", "0 is the tune trials' seed"),
        (GOOD + "search: {sampler: grid}\n", "search.sampler: .*tpe"),
        (GOOD + "space: {temperature: {low: 0.1, high: 50}}\n", "temperature: .*10"),
        (GOOD + "stopping: {rule: asha, grace_epochs: 1000}\n", "grace_epochs at most epochs"),
        (GOOD + "resources: {cpus: 0}\n", "cpus: every number must be at least"),
        (GOOD + "treat_width: joint\nsearch: {sampler: cmaes}\n", "cmaes has one objective"),
        (GOOD + "treat_width: joint\nstopping: {rule: asha}\n", "stop the small encoders"),
        (GOOD + "treat_width: joint\ntrials: 1\n", "below the 2 widths"),
        (GOOD + "treat_width: joint\nwarm_start: true\n", "warm_start: "),
        ("datasets: [digits]\nwidths: [4]\n", "name: is required"),
        (GOOD.replace("good", "a/b"), "name: "),
        (GOOD.replace("[4, 8]", "[0]"), "width: .*greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        parse_spec(text, "study.yaml")
    assert str(error.value).startswith("study.yaml:")
    assert "\n" not in str(error.value)


def test_numbers_in_exponent_form_are_numbers() -> None:
    spec = parse_spec(GOOD + "base: {weight_decay: 1e-4}\n", "test")
    assert cells(spec)[0].config.weight_decay == 1e-4


def test_a_dumped_study_is_the_same_study() -> None:
    for name in presets():
        spec = load_spec(name)
        assert parse_spec(dump_spec(spec), "dumped") == spec


def test_confirm_seeds_are_disjoint_from_the_tune_seed() -> None:
    assert parse_spec(GOOD + "seed: 7\nseeds: 3\n", "test").confirm_seeds == (8, 9, 10)


def test_settings_on_top_of_base_reach_only_their_cells() -> None:
    text = GOOD + "base: {temperature: 0.3}\nof_method: {simclr: {temperature: 0.5}}\n"
    for cell in cells(parse_spec(text, "test")):
        assert cell.config.temperature == (0.5 if cell.config.method == "simclr" else 0.3)


def test_resources_follow_the_width() -> None:
    spec = parse_spec(GOOD + "resources: {cpus: 2, gpus: {8: 0.25, 64: 1}}\n", "test")
    given = [spec.resources.of(width).gpus for width in (4, 8, 63, 64, 128)]
    assert given == [0.25, 0.25, 0.25, 1.0, 1.0]


def test_cell_names_are_file_names_and_tell_data_sets_apart() -> None:
    assert slug("cifar10") == "cifar10"
    assert slug("imagefolder:/a/b") != slug("imagefolder:/a_b")
    assert "/" not in slug("imagefolder:/a/b")


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"presets: .*demo"):
        load_spec("dmeo")
