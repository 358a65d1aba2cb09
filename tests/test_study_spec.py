"""The YAML study: what it refuses, in one line, and what it means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.plan import cells, slug
from study.shipped import presets
from study.spec import MAX_SEARCHES, MAX_SEEDS, StudySpec, dump_spec, load_spec, parse_spec
from study.yaml_files import dump_yaml
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
        (
            GOOD + "widhts: [4]\n",
            "widhts: unknown field, did you mean .widths.. .allowed: .*widths",
        ),
        (GOOD + "base: {epoch: 3}\n", "epoch: unknown field"),
        (GOOD + "base: {epochs: 0}\n", "epochs: .*greater than or equal to 1"),
        (GOOD + "base: {width: 4}\n", "width is not set here"),
        (GOOD + "arms: [none, mixup]\n", "arms.1: .*mixco"),
        (GOOD + "arms: [none, none]\n", "arms: .* twice"),
        (GOOD + "seeds: 0\n", "seeds: 0 is below 1"),
        (GOOD + "seeds: [0, 1]\n", "0 is the tune trials' seed"),
        (GOOD + "searches: 0\n", "searches: .*greater than or equal to 1"),
        (GOOD + "searches: 1001\n", "searches: .*less than or equal to 1000"),
        (GOOD + "searches: 2\nseeds: [5, 10001]\n", "seeds: .*2 searches must be from 1 to 10000"),
        (GOOD + "searches: 2\nseeds: [5, 6]\nseed: 5\n", "5 is the tune trials' seed"),
        (GOOD + "searches: 2\nseeds: [5, 6]\nseed: 9\n", "must be from 10 to 10009"),
        (GOOD + "max_searches: 3\n", "max_searches: is for until: verdict only"),
        (GOOD + "searches: 3\nuntil: verdict\n", "until: verdict needs max_searches"),
        (GOOD + "searches: 1\nuntil: verdict\nmax_searches: 4\n", "first at 1 .* from 2 to max_"),
        (GOOD + "searches: 5\nuntil: verdict\nmax_searches: 4\n", "first at 5 .* last at 4"),
        (GOOD + "search: {sampler: grid}\n", "search.sampler: .*tpe"),
        (GOOD + "space: {temperature: {low: 0.1, high: 50}}\n", "temperature: .*10"),
        (GOOD + "stopping: {rule: asha, grace_epochs: 1000}\n", "grace_epochs at most epochs"),
        (GOOD + "resources: {cpus: 0}\n", "cpus: every number must be at least"),
        (GOOD + "treat_width: joint\nsearch: {sampler: cmaes}\n", "cmaes has one objective"),
        (GOOD + "treat_width: joint\nstopping: {rule: asha}\n", "stop the small encoders"),
        (GOOD + "treat_width: joint\ntrials: 1\n", "below the 2 widths"),
        (GOOD + "treat_width: joint\nwarm_start: true\n", "warm_start: "),
        ("datasets: [digits]\nwidths: [4]\n", "name: is required"),
        (GOOD + "base:\n", "base: is empty"),
        (GOOD + "search: {sampler: }\n", "search.sampler: is empty"),
        (GOOD + "of_method: {simclr: }\n", "of_method.simclr: is empty"),
        (
            GOOD + "trackers: [tensorboard, wandbb]\n",
            r"trackers\.1: .*'tensorboard', 'wandb' or 'mlflow', got 'wandbb'",
        ),
        (GOOD + "seeds: 3000000000\n", "seeds: 3000000000 is above 10000"),
        (GOOD + "seeds: [1, 2147483648]\n", "seeds: .* to 2147483647"),
        (GOOD + "trials: 1" + 60 * "0" + "\n", "trials: .*1000000"),
        (GOOD.replace("[digits]", '[digits, ""]'), "dataset: .*at least 1 character"),
        (GOOD + "base: {epochs: 99999}\nmatch: compute\n", "match: compute turns 99999 epochs"),
        # Values inside a range that the ends do not show.
        (GOOD + "space: {batch_size: {low: 64, high: 66}}\n", "batch_size: 65 is odd"),
        (GOOD + "space: {batch_size: {low: 64, high: 74, step: 5}}\n", "batch_size: 69 is odd"),
        (GOOD + "space: {batch_size: {low: 64, high: 65536, log: true}}\n", "65 is odd"),
        (
            GOOD + "resources: {workers: 2}\nspace: {batch_size: {low: 64, high: 128, step: 4}}\n",
            "batch_size: 68 does not go into 2 workers",
        ),
        (
            GOOD + "resources: {workers: {8: 2}}\nbase: {batch_size: 66}\n",
            "batch_size: 66 does not go into 2 workers",
        ),
        (GOOD + "space: {batch_size: {low: 2, high: 1" + 80 * "0" + ", step: 2}}\n", "batch_size"),
        (
            GOOD + "space: {temperature: {low: 1" + 90 * "0" + ", high: .inf}}\n",
            "temperature: high",
        ),
        (GOOD + "space: {temperature: {low: .nan, high: 1}}\n", "low: a number is expected"),
        (GOOD + "space: {temperature: {low: 0.1, high: 1, log: no}}\n", "log: true or false"),
        (GOOD + "space: {stem: [[small], tiny]}\n", "space.stem: a choice is"),
        (GOOD + "resources: {cpus: {1: 1, '1': 2}}\n", "given twice"),
        (GOOD + "resources: {cpus: {resnet50: 1}}\n", "resnet50 is no encoder of this study"),
        (
            GOOD + "encoders: [resnet10, resnet18]\nresources: {cpus: {resnet10: 1}}\n",
            "resources.cpus: has no number for resnet18 of width 4",
        ),
        (GOOD.replace("good", "a/b"), "name: "),
        (GOOD.replace("[4, 8]", "[0]"), "widths: 0 is below 1"),
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
    assert parse_spec(GOOD + "seed: 7\nseeds: 3\n", "test").confirm_seeds(0) == (8, 9, 10)


@given(
    st.integers(0, (1 << 30) - 1),
    st.integers(1, MAX_SEEDS) | st.sets(st.integers(1, MAX_SEEDS), min_size=1, max_size=5),
    st.lists(st.integers(0, MAX_SEARCHES - 1), min_size=2, max_size=4, unique=True),
)
def test_no_search_has_a_seed_of_another(
    seed: int, seeds: int | set[int], searches: list[int]
) -> None:
    listed = seeds if isinstance(seeds, int) else tuple(seed + one for one in seeds)
    spec = StudySpec(
        name="s", datasets=("d",), widths=(4,), seed=seed, seeds=listed, searches=MAX_SEARCHES
    )
    of_each = [{spec.tune_seed(one), *spec.confirm_seeds(one)} for one in searches]
    assert all(len(own) == 1 + spec.seeds_of_search for own in of_each)
    assert len(set.union(*of_each)) == sum(map(len, of_each))
    assert max(map(max, of_each)) < 1 << 31
    assert spec.confirm_seeds(0) == StudySpec(**{**dict(spec), "searches": 1}).confirm_seeds(0)


def test_settings_on_top_of_base_reach_only_their_cells() -> None:
    text = GOOD + "base: {temperature: 0.3}\nof_method: {simclr: {temperature: 0.5}}\n"
    for cell in cells(parse_spec(text, "test")):
        assert cell.config.temperature == (0.5 if cell.config.method == "simclr" else 0.3)


def test_resources_follow_the_encoder_then_the_width() -> None:
    encoders = "encoders: [resnet10, resnet50, 'timm:test_vit']\n"
    by_size = "cpus: {8: 1, resnet50: 4, timm:test_vit: 2}, workers: {8: 2, timm:test_vit: 1}"
    spec = parse_spec(f"{GOOD}{encoders}resources: {{{by_size}}}\n", "test")
    found = {size: spec.resources.of(*size)[:2] for size in spec.sizes}
    assert found == {
        ("resnet10", 4): (2, 1), ("resnet10", 8): (2, 1), ("resnet50", 4): (2, 4),
        ("resnet50", 8): (2, 4), ("timm:test_vit", 0): (1, 2),
    }  # fmt: skip


def test_resources_follow_the_width() -> None:
    spec = parse_spec(GOOD + "resources: {cpus: 2, gpus: {8: 0.25, 64: 1}}\n", "test")
    given = [spec.resources.of("resnet18", width).gpus for width in (4, 8, 63, 64, 128)]
    assert given == [0.25, 0.25, 0.25, 1.0, 1.0]


def test_cell_names_are_file_names_and_tell_data_sets_apart() -> None:
    assert slug("cifar10") == "cifar10"
    assert slug("imagefolder:/a/b") != slug("imagefolder:/a_b")
    assert "/" not in slug("imagefolder:/a/b")


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"presets: .*demo"):
        load_spec("dmeo")


@pytest.mark.parametrize(
    "space",
    [
        "{batch_size: {low: 64, high: 128, step: 2}}",
        "{batch_size: {low: 64, high: 64}}",
        "{batch_size: {low: 64, high: 65, step: 2}}",
        "{queue_size: {low: 1, high: 16777216, log: true}}",
        "{batch_size: [64, 128], learning_rate: {low: 0.1, high: 0.5, step: 0.1}}",
    ],
)
def test_a_space_whose_every_value_is_valid_is_accepted(space: str) -> None:
    parse_spec(GOOD + f"space: {space}\n", "test")


def test_words_that_older_yaml_took_for_booleans_are_text() -> None:
    spec = parse_spec(GOOD + "base: {compile: off}\narms: [none, un-mix]\n", "test")
    assert cells(spec)[0].config.compile == "off"


def test_a_study_stored_with_widths_as_text_is_read() -> None:
    old = parse_spec(GOOD + "resources: {cpus: {'1': 1, '8': 2}}\n", "study.yaml")
    assert old == parse_spec(GOOD + "resources: {cpus: {1: 1, 8: 2}}\n", "study.yaml")


FLOATS = st.floats(0.01, 10)
BY_SIZE = st.dictionaries(st.integers(1, 64) | st.just("resnet18"), FLOATS, min_size=1, max_size=3)
RANGES = st.tuples(st.floats(0.02, 0.1), st.floats(0.2, 1.0), st.booleans()).map(
    lambda ends: {"low": ends[0], "high": ends[1], "log": ends[2]}
)
UNNAMED = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="="), min_size=1, max_size=12
)
NAMES = UNNAMED | st.just("few=parquet:/data/few")
WIDTHS, IMAGE_SIZES = (1, 4, 99), (None, 4, 64)
"""Few, since ``match: compute`` builds an encoder of each width for each size of images."""
SPECS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True),
        "datasets": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        "widths": st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=3, unique=True),
    },
    optional={
        "methods": st.permutations(["moco", "simclr"]),
        "arms": st.permutations(["none", "mixco", "un-mix"]).map(lambda arms: arms[:2]),
        "base": st.fixed_dictionaries(
            {},
            optional={
                "compile": st.sampled_from(["off", "auto"]),
                "learning_rate": st.floats(1e-7, 1),
                "image_size": st.sampled_from(IMAGE_SIZES),
                "eval_datasets": st.lists(NAMES, max_size=2),
                "sync_batch_norm": st.booleans(),
            },
        ),
        "of_method": st.just({"simclr": {"temperature": 0.5}}),
        "space": st.fixed_dictionaries(
            {},
            optional={
                "temperature": RANGES | st.just(False),
                "batch_size": st.sampled_from([[64, 128], {"low": 8, "high": 64, "step": 8}]),
                "mix_batch_norm": st.just(["shared", "separate", None]),
            },
        ),
        "seeds": st.integers(1, 9) | st.lists(st.integers(1, MAX_SEEDS), min_size=1, unique=True),
        "trials": st.integers(9, 99),
        "searches": st.integers(1, 9),
        "match": st.sampled_from(["epochs", "compute"]),
        "treat_width": st.sampled_from(["stratify", "joint"]),
        "search": st.fixed_dictionaries(
            {}, optional={"sampler": st.sampled_from(["tpe", "gp", "random"])}
        ),
        "resources": st.fixed_dictionaries(
            {}, optional={"cpus": FLOATS | BY_SIZE, "gpus": st.just("auto") | FLOATS | BY_SIZE}
        ),
        "runner": st.sampled_from(["reused", "train", None]),
        "trackers": st.lists(st.sampled_from(["wandb", "mlflow"]), unique=True),
    },
)


@settings(max_examples=30)
@given(SPECS)
def test_every_study_that_loads_comes_back_equal_from_its_own_dump(values: dict[str, Any]) -> None:
    spec = parse_spec(dump_yaml(values), "generated")
    text = dump_spec(spec)
    again = parse_spec(text, "dumped")
    assert again == spec
    assert dump_spec(again) == text
