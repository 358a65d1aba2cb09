"""`mixco report` as a user calls it, on a synthetic store."""

import json

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from study.commands.report import app
from tests.synthetic_study import Truth, draw_trials, write_store
from trainables.config import InputError


def report(*arguments: object) -> Result:
    """`mixco report` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path):
    truth = Truth(seeds=3, widths=(4, 8, 16), tune_trials=3)
    return write_store(tmp_path / "results", draw_trials(truth, np.random.default_rng(0)))


def test_a_report_is_a_page_and_a_summary_that_admits_what_three_seeds_cannot_show(store):
    done = report(store)
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "The gain of mixco" in text
    assert "With 3 seeds the exact sign-flip test cannot go below p = .250" in text
    page = (store / "report" / "index.html").read_text()
    assert "cannot go below p = .250" in page
    assert "vegaEmbed" in page


def test_json_is_strict_and_complete(store, tmp_path):
    done = report(store, "--json", "--out", tmp_path / "elsewhere")
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert len(found["tables"]["gain"]) == 6
    assert found["tables"]["gain"][0]["bca_low"] is None
    assert {row["verdict"] for row in found["tables"]["trend"]} <= {
        "supports",
        "contradicts",
        "cannot tell",
    }
    assert (tmp_path / "elsewhere" / "index.html").exists()
    assert not (store / "report").exists()


def test_an_empty_folder_is_one_line_and_leaves_nothing(tmp_path):
    done = report(tmp_path / "empty")
    assert isinstance(done.exception, InputError)
    assert "no such results folder" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "empty").exists()
