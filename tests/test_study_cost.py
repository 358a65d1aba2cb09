"""What a study will cost, and how far its gains spread."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.statistics.gain import pairs
from reports.statistics.selection import select
from study.agenda import Agenda
from study.cost import TrialCosts, encoder_sizes
from study.designs import designs
from study.plan import cells
from study.spec import parse_spec
from study.spread import default_spread, expected_spread, gain_spread, luck_of, spread_of
from study.step_speeds import StepSpeeds
from tests.synthetic_study import Truth, draw_trials
from trainables.config import TrialConfig
from trainables.data.dataset import load_dataset


def test_the_spread_of_gains_is_that_of_the_pairs_which_the_report_counts() -> None:
    trials = draw_trials(Truth(tune_trials=3, noise=0.5), np.random.default_rng(1))
    table = pairs(select(trials))
    cells = [group["gain"] for _, group in table.groupby(["method", "width"])]
    squares = sum(((gains - gains.mean()) ** 2).sum() for gains in cells)
    expected = (squares / sum(len(gains) - 1 for gains in cells)) ** 0.5
    found = (pytest.approx(expected), sum(len(gains) - 1 for gains in cells))
    assert gain_spread(pairs(select(trials))) == found
    # Confirm trials of a config that has since been beaten count for nothing.
    beaten = trials[trials["phase"] == "confirm"].assign(tuned_from="beaten", accuracy=1.0)
    beaten["trial_id"] = "beaten-" + beaten["trial_id"]
    with_old = pd.concat([trials, beaten], ignore_index=True)
    assert gain_spread(pairs(select(with_old))) == found


def test_without_pairs_there_is_no_spread() -> None:
    trials = draw_trials(Truth(seeds=1), np.random.default_rng(0))
    assert gain_spread(pairs(select(trials))) is None
    assert gain_spread(pairs(select(trials.head(0)))) is None


def test_where_each_search_has_one_seed_the_default_configuration_tells_the_spread() -> None:
    truth = Truth(methods=("moco",), widths=(4, 8), searches=100, seeds=1, luck=0.4, tune_trials=3)
    trials = draw_trials(truth, np.random.default_rng(1))
    first = trials[(trials["phase"] == "tune") & (trials["number"] == 0)]
    scores = first.set_index(["width", "arm", "search"]).sort_index()["accuracy"].astype(float)
    variances = [(scores[width, "mixco"] - scores[width, "none"]).var() for width in (4, 8)]
    assert default_spread(trials) == (pytest.approx(np.mean(variances) ** 0.5), 2 * 99)
    found = spread_of(trials, None, 500)
    assert found is not None and "default configurations" in found.source
    assert found.luck == luck_of(pairs(select(trials)), found.value)
    # Of a gain: noise and luck of both arms.
    over_seeds, over_searches = truth.noise * 2**0.5, truth.luck * 2**0.5
    assert luck_of(pairs(select(trials)), over_seeds) == pytest.approx(over_searches, rel=0.15)
    assert luck_of(pairs(select(trials)), 9.0) == 0
    assert luck_of(pairs(select(trials[trials["search"] == 0])), over_seeds) is None
    once = trials[trials["search"] == 0]
    assert default_spread(once) is None
    three = draw_trials(replace(truth, seeds=3), np.random.default_rng(2))
    assert luck_of(pairs(select(three)), over_seeds) == pytest.approx(over_searches, rel=0.15)


def test_what_recorded_trials_tell_is_known_without_torch() -> None:
    code = """
import sys
from pathlib import Path
import pandas as pd
from study.agenda import Agenda
from study.cost import TrialCosts, encoder_sizes, missing_work
from study.spec import parse_spec
text = "{name: a, datasets: [digits], widths: [4], trials: TRIALS, searches: 1, seeds: 1}"
agenda = Agenda(parse_spec(text.replace("TRIALS", "1"), "a"))
rows = []
while due := agenda.next():
    rows.append(
        {
            **due.identity(), "status": "complete", "accuracy": 1.0, "parameters": 77,
            "flops": 5.0 + len(rows), "seconds": 7200.0, "scored_images": 90,
        }
    )
    agenda.record(rows[-1])
missing = missing_work(agenda, TrialCosts(agenda.spec, None))
assert sum(work.trials for work in missing.values()) == 0
configs = [state.cell.config for state in agenda.searches.values()]
trials = pd.DataFrame(rows)
assert encoder_sizes(configs, trials) == [77]
grown = Agenda(parse_spec(text.replace("TRIALS", "3"), "a"), rows)
costs = TrialCosts(grown.spec, None, trials=trials)
for name, work in missing_work(grown, costs).items():
    of_cell = trials[trials["cell"] == name]
    assert work.trials == 3 and len(of_cell) == 2  # two tune trials, one confirm trial
    assert work.flops == 3 * of_cell["flops"].mean()
    assert (work.cpu_hours, work.gpu_hours) == (6.0, 0.0)
assert costs.test_images() == 90
tuned = TrialCosts(grown.spec, None, trials=trials[trials["phase"] == "tune"])
missing_work(grown, tuned)
assert tuned.test_images() == TEST_IMAGES
assert "torch" not in sys.modules
"""
    surveyed = len(load_dataset("digits").test)  # this machine has read the data set before
    code = code.replace("TEST_IMAGES", str(surveyed))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_recorded_trials_of_one_arm_tell_the_hours_of_the_other() -> None:
    spec = parse_spec(
        "{name: a, datasets: [digits], widths: [4], trials: 1, searches: 1, seeds: 1}", "a"
    )
    cells = {state.cell.config.arm: state.cell for state in Agenda(spec).searches.values()}
    rows = pd.DataFrame(
        [
            {
                "cell": cells["none"].name, "dataset": "digits", "encoder": "resnet18", "width": 4,
                "epochs": spec.fixed("digits", "moco", "resnet18", 4, "none").epochs,
                "status": "complete", "phase": "tune", "scored_images": None, "flops": 3e9,
                "seconds": seconds,
            }
            for seconds in (1800.0, 5400.0)
        ]
    )  # fmt: skip
    costs = TrialCosts(spec, None, trials=rows)
    known, other = costs.of(cells["none"]), costs.of(cells["mixco"])
    assert known.cpu_hours == 1.0
    assert other.cpu_hours == pytest.approx(other.flops / 3e9)
    assert costs.from_rows
    assert not costs.from_steps


def test_a_named_data_set_that_moved_is_known_from_its_recorded_trials() -> None:
    text = "{name: a, datasets: [few=parquet:/PLACE], methods: [moco], widths: [4], arms: [none]}"
    agenda = Agenda(parse_spec(text.replace("PLACE", "old"), "a"))
    due = agenda.next()
    assert due is not None
    ended = {
        **due.identity(), "status": "complete", "phase": "confirm", "flops": 5.0, "seconds": 9.0,
        "parameters": 77, "scored_images": 90,
    }  # fmt: skip
    moved = parse_spec(text.replace("PLACE", "new"), "a")
    costs = TrialCosts(moved, None, trials=pd.DataFrame([ended]))
    (cell,) = cells(moved)
    assert costs.of(cell).flops == 5.0
    assert costs.test_images() == 90  # nothing is read: there is no such folder
    assert encoder_sizes([cell.config], pd.DataFrame([ended])) == [77]


def test_the_spread_is_the_users_the_results_or_that_of_the_test_images() -> None:
    trials = draw_trials(Truth(tune_trials=3, noise=0.5), np.random.default_rng(1))
    given = spread_of(trials, 0.7, 500)
    assert given is not None
    assert (given.value, given.low, given.high) == (0.7, 0.7, 0.7)
    recorded = spread_of(trials, None, 500)
    assert recorded is not None
    assert recorded.low < recorded.value < recorded.high
    pilot = trials[trials["phase"] == "tune"].assign(accuracy=90.0)
    expected = spread_of(pilot, None, 500)
    assert expected is not None
    assert expected.value == pytest.approx(100 * (2 * 0.9 * 0.1 / 500) ** 0.5)
    unknown = spread_of(trials.head(0), None, 500)
    assert unknown is not None
    assert unknown.value > expected.value > unknown.low
    assert spread_of(trials.head(0), None, None) is None


def test_runs_whose_images_are_right_by_chance_spread_as_expected() -> None:
    rng = np.random.default_rng(0)
    gains = np.diff(100 * rng.binomial(500, 0.4, (4000, 2)) / 500, axis=1)
    assert expected_spread(500, 0.4) == pytest.approx(float(gains.std()), rel=0.05)


@pytest.mark.parametrize("searches", [1, 2, 4])
def test_cheaper_designs_need_fewer_trials_and_count_them_as_the_agenda_does(searches: int) -> None:
    text = "{name: a, datasets: [digits], widths: [4, 8], trials: 6, seeds: 4, searches: N}"
    spec = parse_spec(text.replace("N", str(searches)), "test")
    own, *cheaper = designs(spec)
    assert not own.change
    assert cheaper
    for design in (own, *cheaper):
        assert design.trials == Agenda(design.spec).planned
        assert design.trials <= own.trials
    slopes = {one.change: one.slope([1000, 4000], 0.5, 0.2) for one in (own, *cheaper)}
    # One search and two widths earn no verdict; three searches do.
    assert (slopes[""] > 0) == (searches > 1)
    if searches == 1:
        assert slopes["searches: 3, trials: 2, seeds: 1"] > 0
    if searches == 4:
        assert slopes["searches: 3"] > slopes[""]
        assert slopes["seeds: 1"] > slopes[""]


def test_speeds_are_kept_by_what_makes_a_step_and_a_damaged_file_holds_none(tmp_path: Path) -> None:
    config = TrialConfig(dataset="digits", width=4)
    StepSpeeds(tmp_path).keep(config, "a processor, 1 thread", 2.5e9)
    kept = StepSpeeds(tmp_path)
    longer = config.model_copy(update={"epochs": 7, "seed": 3})
    assert kept.find(longer, "a processor, 1 thread") == 2.5e9
    assert kept.find(config, "a processor, 2 threads") is None
    wider = config.model_copy(update={"width": 8})
    assert kept.find(wider, "a processor, 1 thread") is None
    for damage in ("", "{", "[1]", '{"x": null}'):
        (tmp_path / "cache" / "step-speeds.json").write_text(damage)
        assert kept.find(config, "a processor, 1 thread") is None
