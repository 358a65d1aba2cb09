"""Short names of data sets: what they may be; ids and reports follow them, not the path."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from reports.reading import read_results
from reports.statistics.gain import gain_table
from study.agenda import Agenda
from study.on_ray.job_folder import named_paths
from study.plan import cells
from study.spec import StudySpec, dump_spec, parse_spec
from tests.synthetic_study import Truth, draw_trials, write_store
from tests.test_study_search import work_through
from trainables.config import TrialConfig, parse_config, same_setting
from trainables.data.naming import place_of, short_name
from trainables.errors import InputError

STUDY = """
name: named
datasets: [DATA]
methods: [simclr]
widths: [4]
base: {epochs: 3, eval_datasets: ['far=imagefolder:/a/far']}
trials: 3
searches: 1
seeds: 2
"""


def study(data: str) -> StudySpec:
    return parse_spec(STUDY.replace("DATA", data), "test")


@pytest.mark.parametrize(
    ("name", "short", "place"),
    [
        ("few=parquet:/data/few?label=fine", "few", "parquet:/data/few?label=fine"),
        ("a.b_c-1=tiny-imagenet", "a.b_c-1", "tiny-imagenet"),
        ("parquet:/data/few?label=fine", None, "parquet:/data/few?label=fine"),
        ("imagefolder:/data/a=b", None, "imagefolder:/data/a=b"),
        ("my_data:Birds:x=y", None, "my_data:Birds:x=y"),
        ("cifar10", None, "cifar10"),
    ],
)
def test_only_what_stands_before_the_place_is_a_short_name(
    name: str, short: str | None, place: str
) -> None:
    assert (short_name(name), place_of(name)) == (short or name, place)
    assert parse_config({"dataset": name}).dataset == name


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ("'=digits'", "data set '=digits': no short name (allowed: NAME=KIND:PATH"),
        ("'few='", "data set 'few=': no short name"),
        ("'two words=digits'", "data set 'two words=digits': no short name"),
        (f"'{'x' * 41}=digits'", "no short name"),
        ("'a=b=digits'", "data set 'a=b=digits': has two short names"),
        ("'a=digits', 'a=cifar10'", "'a' names two data sets, 'digits' and 'cifar10'"),
        ("digits, 'digits=cifar10'", "'digits' names two data sets, 'digits' and 'cifar10'"),
        ("'far=digits'", "'far' names two data sets, 'digits' and 'imagefolder:/a/far'"),
    ],
)
def test_a_wrong_short_name_is_one_line(datasets: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        study(datasets)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ids_have_the_short_name_and_do_not_change_with_the_place() -> None:
    here, there = study("'few=parquet:/here/few'"), study("'few=parquet:/there'")
    assert [cell.name for cell in cells(here)] == [
        f"few-simclr-resnet18-w4-{arm}" for arm in ("none", "mixco")
    ]
    assert parse_spec(dump_spec(here), "again") == here
    rows = work_through(Agenda(here), 1, Random(0))
    elsewhere = work_through(Agenda(there, rows[:4]), 1, Random(0))
    assert {row["trial_id"] for row in rows} == {row["trial_id"] for row in [*rows[:4], *elsewhere]}
    # What is left to run reads the data where they lie now, also confirm trials of older rows.
    assert {row["dataset"] for row in elsewhere} == {"few=parquet:/there"}


def test_data_sets_without_a_short_name_keep_their_ids() -> None:
    (cell, _) = cells(study("'parquet:/data/few'"))
    assert cell.name == "parquet_data_few_2c8a9e49-simclr-resnet18-w4-none"
    plain = TrialConfig(dataset="cifar10", eval_datasets=("parquet:/data/few",))
    assert plain.digest() == "908561c6"
    assert plain.digest() != TrialConfig(eval_datasets=("few=parquet:/data/few",)).digest()


def test_a_job_ships_the_files_of_a_named_data_set() -> None:
    assert named_paths(study("'few=parquet:data/few?label=fine'")) == ["data/few"]


def test_a_checkpoint_is_of_the_same_trial_if_only_the_place_differs() -> None:
    assert same_setting("dataset", "few=parquet:/here", "few=parquet:/there")
    assert not same_setting("dataset", "few=parquet:/here", "other=parquet:/here")
    assert same_setting("eval_datasets", ["few=parquet:/here"], ("few=parquet:/there",))
    assert not same_setting("eval_datasets", ["few=parquet:/here"], ())


def test_a_report_speaks_of_the_short_name_only(tmp_path: Path) -> None:
    trials = draw_trials(Truth(widths=(4, 8), seeds=2, tune_trials=3), np.random.default_rng(0))
    half = trials.index < len(trials) // 2
    places = np.where(half, "few=parquet:/here/few", "few=parquet:/there")
    store = write_store(tmp_path / "results", trials.assign(dataset=places))
    assert set(read_results([str(store)]).trials["dataset"]) == {"few"}
    assert set(gain_table(trials.assign(dataset=places))["dataset"]) == {"few"}
