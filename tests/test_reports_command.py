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


def test_two_stores_are_read_as_one_and_compared_with_a_third(tmp_path):
    truth = Truth(seeds=2, widths=(4, 8, 16))
    trials = draw_trials(truth, np.random.default_rng(0))
    first, second = trials[trials["width"] < 16], trials[trials["width"] >= 8]
    stores = [write_store(tmp_path / name, part) for name, part in (("a", first), ("b", second))]
    done = report(
        *stores, "--out", tmp_path / "page", "--compare", stores[0], "--json", "--no-exports"
    )
    assert done.exit_code == 0, done.output
    gains = json.loads(done.stdout)["tables"]["gain"]
    assert [row["pairs"] for row in gains] == [2] * 6  # width 8 is in both, and counted once
    assert "there minus here" in (tmp_path / "page" / "index.html").read_text()


def test_a_spec_beside_the_results_is_shown_as_text(store):
    (store / "study.yaml").write_text("name: <b>x</b>")
    assert report(store, "--no-exports").exit_code == 0
    assert "name: &lt;b&gt;x&lt;/b&gt;" in (store / "report" / "index.html").read_text()
    assert not (store / "report" / "tables").exists()


def test_a_report_that_cannot_be_written_is_one_line(store, tmp_path):
    (tmp_path / "file").write_text("")
    done = report(store, "--out", tmp_path / "file")
    assert isinstance(done.exception, InputError)
    assert "cannot write" in str(done.exception)
