"""What a study will cost, and how far its gains spread."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from reports.statistics.gain import pairs
from reports.statistics.selection import select
from study.cost import gain_spread
from tests.synthetic_study import Truth, draw_trials


def test_the_spread_of_gains_is_that_of_the_pairs_which_the_report_counts() -> None:
    trials = draw_trials(Truth(tune_trials=3, noise=0.5), np.random.default_rng(1))
    table = pairs(select(trials))
    cells = [group["gain"] for _, group in table.groupby(["method", "width"])]
    squares = sum(((gains - gains.mean()) ** 2).sum() for gains in cells)
    expected = (squares / sum(len(gains) - 1 for gains in cells)) ** 0.5
    assert gain_spread(trials) == pytest.approx(expected)
    # Confirm trials of a config that has since been beaten count for nothing.
    beaten = trials[trials["phase"] == "confirm"].assign(tuned_from="beaten", accuracy=1.0)
    beaten["trial_id"] = "beaten-" + beaten["trial_id"]
    with_old = pd.concat([trials, beaten], ignore_index=True)
    assert gain_spread(with_old) == pytest.approx(expected)


def test_without_pairs_there_is_no_spread() -> None:
    trials = draw_trials(Truth(seeds=1), np.random.default_rng(0))
    assert gain_spread(trials) is None
    assert gain_spread(trials.head(0)) is None


def test_what_a_complete_study_needs_is_known_without_torch() -> None:
    code = """
import sys
import pandas as pd
from study.agenda import Agenda
from study.cost import encoder_sizes, missing_work
from study.spec import parse_spec
text = "{name: a, datasets: [digits], widths: [4], trials: 1, seeds: 1}"
agenda = Agenda(parse_spec(text, "a"))
rows = []
while due := agenda.next():
    rows.append({**due.identity(), "status": "complete", "accuracy": 1.0, "parameters": 77})
    agenda.record(rows[-1])
assert sum(work.trials for work in missing_work(agenda, None).values()) == 0
configs = [state.cell.config for state in agenda.searches.values()]
assert encoder_sizes(configs, pd.DataFrame(rows)) == [77]
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
