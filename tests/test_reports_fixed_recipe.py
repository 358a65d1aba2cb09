"""What tuning explains of a trend, and what mixing brings beyond extra compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.findings import find
from reports.output.charts import charts_of
from reports.output.page import render
from reports.output.sentences.control import control_words
from reports.output.sentences.fixed_recipe import recipe_words
from reports.statistics.capacity import with_capacity
from reports.statistics.control import against_control
from reports.statistics.fixed_recipe import FixedRecipe, fixed_recipe
from reports.statistics.gain import gain_from_pairs, pairs
from reports.statistics.selection import Selection
from tests.synthetic_study import Truth, draw_trials

WIDTHS = (4, 8, 16)


def row(
    width: int, arm: str, search: int, phase: str, number: int, accuracy: float
) -> dict[str, object]:
    cell = f"w{width}-{arm}"
    return {
        "trial_id": f"{cell}-{search}-{phase}-{number}", "study": "s", "cell": cell,
        "phase": phase, "search": search, "number": number if phase == "tune" else None,
        "status": "complete", "dataset": "digits", "method": "moco", "encoder": "resnet18",
        "width": width, "arm": arm, "seed": 100 * search + number, "accuracy": accuracy,
        "parameters": 1000 * width**2, "encoder_flops": 1, "flops": 1.0, "epochs": 1,
        "scored_images": 1000,
    }  # fmt: skip


def study(fixed: Sequence[float], tuned: float = -0.5, late: float = 0.0) -> FixedRecipe:
    """One search for each of the slopes at the fixed recipe in ``fixed``, points per doubling.

    The second half of a search adds ``late`` points per doubling with the arm, none without it.
    """
    tune, confirm = [], []
    for search, slope in enumerate(fixed):
        for width in WIDTHS:
            doublings = 2 * np.log2(width)
            for arm, on in (("none", 0.0), ("mixco", 1.0)):
                first = 50.0 + on * (2.0 + slope * doublings)
                scores = [first, first + 3.0, first - 1.0, first + 3.0 + on * late * doublings]
                tune += [
                    row(width, arm, search, "tune", n, score) for n, score in enumerate(scores)
                ]
                scores = [70.0 + shift + on * (3.0 + tuned * doublings) for shift in (0.0, 1.0)]
                confirm += [
                    row(width, arm, search, "confirm", n, score) for n, score in enumerate(scores)
                ]
    trials = pd.DataFrame(tune + confirm)
    rows = pd.DataFrame(confirm)
    selection = Selection(with_capacity(rows), 0, 0, rows.head(0))
    return fixed_recipe(pairs(selection), trials)


def test_tuning_explains_the_tuned_slope_less_the_fixed_one_over_searches() -> None:
    fixed = np.array([-0.1, 0.0, 0.2])
    (slopes,) = study(fixed).slopes.to_dict("records")
    assert (slopes["widths"], slopes["searches"]) == (3, 3)
    assert slopes["fixed"] == pytest.approx(fixed.mean())
    assert slopes["tuned"] == pytest.approx(-0.5)
    interval = stats.ttest_1samp(-0.5 - fixed, 0.0).confidence_interval()
    assert (slopes["tuning_low"], slopes["tuning_high"]) == pytest.approx(tuple(interval))
    gains = study(fixed).gains.set_index("width")
    assert gains.loc[4, "fixed"] == pytest.approx(2.0 + 4 * fixed.mean())
    assert gains.loc[4, "tuned"] == pytest.approx(3.0 - 4 * 0.5)


def test_the_report_says_whether_the_trend_is_the_tunings() -> None:
    (from_tuning,) = recipe_words(study([0.0, 0.01, -0.01]))
    assert "a part of the trend comes from the tuning" in from_tuning
    (from_method,) = recipe_words(study([-0.6, -0.5, -0.4]))
    assert "an effect of tuning on the trend is not shown" in from_method
    (one_search,) = recipe_words(study([-0.5]))
    assert "takes two searches or more" in one_search


def test_what_late_trials_add_is_followed_over_the_widths() -> None:
    found = study([-0.5, -0.5], late=0.25)
    assert found.slopes["late"].tolist() == pytest.approx([0.25])
    assert found.gains["late"].tolist() == pytest.approx([0.25 * 2 * np.log2(w) for w in WIDTHS])
    assert study([-0.5, -0.5]).slopes["late"].tolist() == [0.0]
    drift = FixedRecipe(found.gains, found.slopes.assign(late_low=0.1, late_high=0.4))
    assert "unfinished searches can look like a trend" in recipe_words(drift)[1]


def test_older_trials_and_a_search_without_a_default_have_no_fixed_recipe() -> None:
    trials = draw_trials(
        Truth(methods=("moco",), widths=(4, 8), seeds=3, tune_trials=3), np.random.default_rng(0)
    )
    found = find(trials)
    assert found.recipe.slopes["searches"].tolist() == [1]
    assert np.isfinite(found.recipe.slopes["fixed"]).all()
    pruned = trials.assign(status=trials["status"].where(trials["number"] != 0, "pruned"))
    assert find(pruned).recipe.slopes["fixed"].isna().all()
    assert find(trials[trials["phase"] != "tune"]).recipe.slopes.empty


def controlled(mixing: float, control: float) -> pd.DataFrame:
    """Confirm trials of both arms, with these gains and a little noise of each seed."""
    rng = np.random.default_rng(0)
    rows = [
        row(width, arm, 0, "confirm", seed, 60.0 + width + gain + seed + 0.1 * rng.normal())
        for width in WIDTHS
        for seed in range(4)
        for arm, gain in (("none", 0.0), ("mixco", mixing), ("extra-crop", control))
    ]
    return pd.DataFrame(rows)


def test_a_gain_beyond_the_control_is_paired_by_seed() -> None:
    confirm = controlled(3.0, 1.0)
    selection = Selection(with_capacity(confirm), 0, 0, confirm.head(0))
    found = against_control(selection, gain_from_pairs(pairs(selection)))
    accuracy = confirm.pivot(index=["width", "seed"], columns="arm", values="accuracy")
    beyond = accuracy["mixco"] - accuracy["extra-crop"]
    expected = beyond.groupby("width").mean()
    assert found.widths.set_index("width")["beyond"].to_dict() == pytest.approx(expected.to_dict())
    gain = found.widths["gain"] - found.widths["control_gain"]
    assert gain.tolist() == pytest.approx(found.widths["beyond"].tolist())
    (line,) = found.lines.to_dict("records")
    over_seeds = beyond.groupby("seed").mean()
    assert (line["arm"], line["control"], line["units"]) == ("mixco", "extra-crop", 4)
    interval = stats.ttest_1samp(over_seeds, 0.0).confidence_interval()
    assert (line["low"], line["high"]) == pytest.approx(tuple(interval))


@pytest.mark.parametrize(
    ("control", "verdict"),
    [(1.0, "brings more than"), (3.0, "is not shown to bring more"), (5.0, "brings less than")],
)
def test_the_report_says_what_mixing_brings_beyond_extra_compute(
    control: float, verdict: str
) -> None:
    confirm = controlled(3.0, control)
    selection = Selection(with_capacity(confirm), 0, 0, confirm.head(0))
    (sentence,) = control_words(against_control(selection, gain_from_pairs(pairs(selection))))
    assert verdict in sentence


def test_a_report_has_both_sections_where_their_rows_are_there() -> None:
    trials = draw_trials(
        Truth(methods=("moco",), widths=(4, 8), seeds=3, tune_trials=3), np.random.default_rng(0)
    )
    page = render(find(trials), {})
    assert "Method or recipe?" in page
    assert "Mixing or extra compute?" not in page
    crops = trials[trials["arm"] == "mixco"].copy()
    crops["arm"] = "extra-crop"
    for name in ("trial_id", "cell", "tuned_from"):
        crops[name] = crops[name].str.replace("mixco", "extra-crop")
    findings = find(pd.concat([trials, crops], ignore_index=True))
    assert "Mixing or extra compute?" in render(findings, charts_of(findings))
