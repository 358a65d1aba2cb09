"""`mixco report` as a user calls it, on a synthetic store."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from reports.findings import find
from reports.reading import read_results
from study.commands.report import app
from tests.synthetic_study import Truth, draw_trials, write_store
from trainables.errors import InputError


def report(*arguments: object) -> Result:
    """`mixco report` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def draw(root: Path, truth: Truth) -> Path:
    """A results folder with trials of ``truth``."""
    return write_store(root, draw_trials(truth, np.random.default_rng(0)))


TRUTH = Truth(methods=("moco",), seeds=2, widths=(4, 8, 16))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, str]:
    """A report's output and page; the results have a damaged file and an unreadable spec."""
    root = tmp_path_factory.mktemp("printed")
    store = draw(root / "results", Truth(seeds=3, widths=(4, 8, 16), tune_trials=3))
    (store / "trials" / "broken.parquet").write_bytes(b"PAR1 nothing")
    (store / "study.yaml").write_text("name: <b>x</b>")
    done = report(store, "--no-exports")
    assert done.exit_code == 0, done.output
    assert [path.name for path in (store / "report").iterdir()] == ["index.html"]
    return done, (store / "report" / "index.html").read_text()


def test_a_report_is_a_page_and_a_summary_that_admits_what_three_seeds_cannot_show(printed):
    done, page = printed
    text = " ".join(done.stdout.split())
    assert "The gain of mixco" in text
    assert "With 3 seeds the exact sign-flip test cannot go below p = .250" in text
    assert "cannot go below p = .250" in page
    assert "vegaEmbed" in page


def test_a_damaged_file_is_named_in_the_report_and_on_standard_error(printed):
    done, page = printed
    assert "broken.parquet: damaged, skipped" in done.stderr
    assert "broken.parquet: damaged, skipped" in page


def test_a_spec_beside_the_results_is_shown_as_text(printed):
    _, page = printed
    assert "name: &lt;b&gt;x&lt;/b&gt;" in page


SPEC = {"name": "synthetic", "datasets": ["digits"], "methods": ["moco"], "widths": [4, 8, 16]}


def test_json_of_a_store_by_its_uri_is_strict_and_complete(tmp_path):
    store = draw(tmp_path / "results", replace(TRUTH, tune_trials=3))
    (store / "study.yaml").write_text(
        yaml.safe_dump(SPEC | {"trials": 3, "searches": 1, "seeds": 2})
    )
    uri = f"file://{store}"
    assert "need --out" in str(report(uri).exception)
    done = report(uri, "--json", "--no-exports", "--out", tmp_path / "elsewhere")
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert len(found["tables"]["gain"]) == 3
    assert found["tables"]["gain"][0]["bca_low"] is None
    assert {row["verdict"] for row in found["tables"]["trend"]} <= {
        "supports",
        "contradicts",
        "cannot tell",
    }
    assert found["tables"]["trend"][0]["line"] == "resnet18"
    assert not any("Partial" in note for note in found["limits"])
    assert (tmp_path / "elsewhere" / "index.html").exists()
    assert not (store / "report").exists()


def test_an_empty_folder_is_one_line_and_leaves_nothing(tmp_path):
    done = report(tmp_path / "empty")
    assert isinstance(done.exception, InputError)
    assert "no such results folder" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "empty").exists()


def test_two_stores_are_read_as_one_and_compared_with_a_third(tmp_path):
    trials = draw_trials(TRUTH, np.random.default_rng(0))
    first, second = trials[trials["width"] < 16], trials[trials["width"] >= 8]
    stores = [write_store(tmp_path / name, part) for name, part in (("a", first), ("b", second))]
    done = report(
        *stores, "--out", tmp_path / "page", "--compare", stores[0], "--json", "--no-exports"
    )
    assert done.exit_code == 0, done.output
    gains = json.loads(done.stdout)["tables"]["gain"]
    assert [row["pairs"] for row in gains] == [2] * 3  # width 8 is in both, and counted once
    assert "other minus this" in (tmp_path / "page" / "index.html").read_text()


def test_ids_name_a_trial_within_its_study(tmp_path):
    trials = draw_trials(replace(TRUTH, tune_trials=2), np.random.default_rng(0))
    other = trials.assign(study="other")
    stores = [write_store(tmp_path / name, part) for name, part in (("a", trials), ("b", other))]
    found = find(*read_results([str(store) for store in stores]))
    assert found.tuning.endings["trials"].sum() == 2 * len(trials)
    assert "only other, which was given later, counts" in " ".join(found.sentences.limits)
    assert found.gains.table["pairs"].tolist() == [2] * 3


def test_two_studies_of_one_name_are_refused(tmp_path):
    trials = draw_trials(TRUTH, np.random.default_rng(0))
    longer = trials.assign(epochs=50)
    stores = [write_store(tmp_path / name, part) for name, part in (("a", trials), ("b", longer))]
    done = report(*stores, "--out", tmp_path / "page")
    assert isinstance(done.exception, InputError)
    assert "with different epochs" in str(done.exception)
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("uri", ["nothing://x", "file://relative", "s3://"])
def test_a_bad_uri_is_one_line(uri, tmp_path):
    done = report(uri, "--out", tmp_path / "page")
    assert isinstance(done.exception, InputError), done.exception
    assert "\n" not in str(done.exception)


def test_a_study_that_is_not_finished_says_how_far_it_is_and_what_its_lines_are(tmp_path):
    store = draw(tmp_path / "results", replace(TRUTH, tune_trials=3))
    more = {"searches": 1, "seeds": 5, "trials": 4, "lines": {"wide": ["resnet18"]}}
    (store / "study.yaml").write_text(yaml.safe_dump(SPEC | more))
    found = json.loads(report(store, "--json", "--no-exports", "--capacity", "flops").stdout)
    row = found["tables"]["trend"][0]
    assert (row["line"], row["measure"]) == ("wide", "FLOPs")
    partial = "Partial results: 30 of the study's 54 trials have ended"
    assert found["limits"][0].startswith(f"{partial} (18 of 24 tune, 12 of 30 confirm)")


def test_watching_waits_for_the_first_trial_and_leaves_a_still_page(tmp_path, monkeypatch):
    trials = draw_trials(TRUTH, np.random.default_rng(0))
    store, page = tmp_path / "results", tmp_path / "page" / "index.html"
    (store / "trials").mkdir(parents=True)
    rounds = []

    def sleep(seconds):
        rounds.append(page.read_text() if page.exists() else None)
        if len(rounds) == 1:
            write_store(store, trials[trials["width"] < 16])
        elif len(rounds) == 2:
            write_store(store, trials)
        else:
            raise KeyboardInterrupt

    drawn = []  # the figures take longer than the rest of a report
    monkeypatch.setattr("reports.output.charts.write_figures", lambda _, out: drawn.append(out))
    monkeypatch.setattr("time.sleep", sleep)
    done = report(store, "--out", page.parent, "--watch")
    assert done.exit_code == 0, done.output
    assert "waiting for the first finished trial" in done.stderr
    assert rounds[0] is None
    assert 'http-equiv="refresh"' in rounds[1]
    assert "Two widths always lie on a line" in rounds[1]
    assert "Two widths always lie on a line" not in rounds[2]
    assert 'http-equiv="refresh"' not in page.read_text()
    assert (page.parent / "tables" / "gain.csv").exists()
    assert drawn == [page.parent / "figures"]  # once, at the end


def test_a_report_needs_neither_torch_nor_ray(tmp_path):
    store = draw(tmp_path / "results", TRUTH)
    code = """
import sys
class Neither:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'ray'):
            raise ModuleNotFoundError(f'blocked: {name}')
sys.meta_path.insert(0, Neither())
from study.commands.main import main
main()
"""
    command = [sys.executable, "-c", code, "report", str(store), "--no-exports"]
    subprocess.run(command, check=True, timeout=120)
    assert (store / "report" / "index.html").exists()


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    store = draw(tmp_path / "results", TRUTH)
    (tmp_path / "file").write_text("")
    done = report(store, "--out", tmp_path / "file")
    assert isinstance(done.exception, InputError)
    assert "cannot write" in str(done.exception)
    assert "cannot write" in str(report(store, "--out", tmp_path / "file" / "below").exception)
