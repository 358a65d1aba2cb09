"""Gains image by image: errors for other test images, classes, and rows without images."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reports.findings import find
from reports.output.charts import charts_of
from reports.output.page import render
from reports.reading import read_results
from reports.statistics.gain import pairs
from reports.statistics.per_image import PerImage, per_image
from reports.statistics.selection import select
from reports.statistics.two_way import two_way
from reports.store.schema import EVALUATIONS
from tests.synthetic_study import Truth, draw_trials, write_store, write_table
from trainables.evaluation.per_image import columns

CLASSES, EACH = 5, 40
LABELS = np.repeat(np.arange(CLASSES), EACH)


def study(seeds: int = 3, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials whose accuracies are those of their images; the arm gains in class 0 alone."""
    rng = np.random.default_rng(seed)
    truth = Truth(methods=("moco",), widths=(4, 8), seeds=seeds)
    trials = draw_trials(truth, rng).assign(probe="linear", data_fingerprint="f")
    difficulty = rng.normal(size=len(LABELS))
    rows, accuracies = [], []
    for trial in trials.to_dict("records"):
        ease = difficulty + 0.5 * rng.normal(size=len(LABELS))
        right = ease + (2.0 if trial["arm"] == "mixco" else 0.0) * (LABELS == 0) > 0
        accuracies.append(100.0 * right.mean())
        kept = columns(torch.tensor(right), torch.tensor(LABELS), CLASSES)
        names = {"trial_id": trial["trial_id"], "dataset": "digits", "split": "test"}
        rows.append(names | {"protocol": "linear", "images": len(LABELS)} | kept)
        rows.append(names | {"protocol": "knn", "images": len(LABELS)})
    evaluations = pa.Table.from_pylist(rows, schema=EVALUATIONS).to_pandas()
    return trials.assign(accuracy=accuracies), evaluations


def found_in(trials: pd.DataFrame, evaluations: pd.DataFrame) -> PerImage:
    selection = select(trials)
    return per_image(selection, pairs(selection), evaluations)


@given(
    hnp.arrays(
        float,
        st.tuples(st.integers(2, 4), st.integers(2, 5)),
        elements=st.sampled_from([-100.0, 0.0, 100.0]),
    )
)
def test_the_two_errors_add_up_to_the_unbiased_variance_written_out(values: np.ndarray) -> None:
    runs, images = values.shape
    # The mean squared is the square of the true mean plus the variance. Products of values that
    # share neither run nor image have the square of the true mean as their expectation.
    apart = [
        values[r, i] * values[s, j]
        for r, s in permutations(range(runs), 2)
        for i, j in permutations(range(images), 2)
    ]
    found = two_way(values)
    over_runs = np.var(values.mean(axis=1), ddof=1) / runs
    expected = max(values.mean() ** 2 - np.mean(apart), over_runs)
    assert found.runs.error**2 == pytest.approx(over_runs)
    assert found.runs.error**2 + found.images**2 == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("runs", [2, 3, 6])
def test_intervals_for_other_images_cover_where_those_over_runs_do_not(runs: int) -> None:
    rng = np.random.default_rng(runs)
    draws, images, truth = 1500, 200, 1.0
    new = today = 0
    for _ in range(draws):
        values = truth + 0.4 * rng.normal(size=(runs, 1)) + 10 * rng.normal(size=images)
        found = two_way(values + 3 * rng.normal(size=(runs, images)))
        low, high = found.interval()
        new += low <= truth <= high
        low, high = found.runs.interval()
        today += low <= truth <= high
    assert 0.935 <= new / draws <= 0.995
    assert today < new
    if runs == 6:
        assert today / draws < 0.75


def test_one_run_has_no_interval() -> None:
    found = two_way(np.array([[100.0, 0.0, -100.0]]))
    assert found.runs.value == 0
    assert np.isnan(found.interval()).all()


def test_gains_slopes_and_classes_are_those_of_the_pairs() -> None:
    trials, evaluations = study()
    found = found_in(trials, evaluations)
    table = pairs(select(trials))
    assert (found.pairs, found.all_pairs) == (6, 6)
    means = table.groupby("width")["gain"].mean()
    assert found.gains.set_index("width")["gain"].to_dict() == pytest.approx(means.to_dict())
    # Parameters grow fourfold, so the slope is half the difference.
    assert found.slopes["slope"].tolist() == pytest.approx([(means[8] - means[4]) / 2])
    by_class = found.classes.set_index("class")["gain"]
    assert by_class.mean() == pytest.approx(table["gain"].mean())
    assert by_class.idxmax() == 0
    assert by_class[0] > by_class.drop(0).max() + 10
    assert found.classes["images"].eq(EACH).all()
    assert (found.gains["low"] <= found.gains["runs_low"]).all()
    assert (found.gains["high"] >= found.gains["runs_high"]).all()


def test_where_there_are_several_searches_a_run_is_a_search() -> None:
    trials, evaluations = study(seeds=6)
    seeds = sorted(trials["seed"].unique())
    several = trials.assign(search=trials["seed"].map(lambda seed: seeds.index(seed) // 2))
    one, three = found_in(trials, evaluations), found_in(several, evaluations)
    assert one.gains["runs"].tolist() == [6, 6]
    assert three.gains["runs"].tolist() == [3, 3]
    assert three.gains["gain"].tolist() == pytest.approx(one.gains["gain"].tolist())


def test_trials_of_other_images_or_without_images_are_left_out() -> None:
    trials, evaluations = study()
    assert found_in(trials, evaluations.assign(right=None)).pairs == 0
    assert found_in(trials, evaluations.head(0)).gains.empty
    first = trials["trial_id"].iloc[0]
    assert found_in(trials, evaluations[evaluations["trial_id"] != first]).pairs == 5
    other = trials["data_fingerprint"].where(trials["trial_id"] != first, "other")
    assert found_in(trials.assign(data_fingerprint=other), evaluations).pairs == 5


def test_a_report_says_what_images_show_or_that_they_were_not_recorded(tmp_path: Path) -> None:
    trials, evaluations = study()
    write_store(tmp_path, trials)
    table = pa.Table.from_pandas(evaluations, schema=EVALUATIONS, preserve_index=False)
    write_table(tmp_path, "evaluations", table)
    tables = read_results([str(tmp_path)])
    findings = find(tables.trials, tables.evaluations)
    text = " ".join(findings.sentences.images)
    assert "of the variance of a gain comes from which images the test split holds" in text
    assert "gains most in class 0" in text
    page = render(findings, charts_of(findings))
    assert "Other test images, and single classes" in page
    assert 'data-figure="classes"' in page
    (sentence,) = find(tables.trials).sentences.images
    assert "did not record which test images were right" in sentence
