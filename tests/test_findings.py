"""The committed findings: `mixco report` computes what their page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from reports.store.tables import open_store
from study.commands.report import app

FINDINGS = Path(__file__).parent.parent / "findings"


@pytest.fixture(scope="module", params=["cifar10", "cifar10-simclr"])
def study(request: pytest.FixtureRequest) -> Path:
    """The committed results of a study, with its page."""
    return FINDINGS / str(request.param)


@pytest.fixture(scope="module")
def out(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on the committed results."""
    return tmp_path_factory.mktemp(study.name)


@pytest.fixture(scope="module")
def found(study: Path, out: Path) -> dict[str, Any]:
    """What that report says."""
    done = CliRunner().invoke(app, [str(study), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def read(page: Path) -> str:
    """A page of findings on one line, without the marks of quotations."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return " ".join(" ".join(line.strip().removeprefix(">") for line in lines).split())


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    """The page of the study."""
    return read(study / "README.md")


@pytest.fixture(scope="module")
def moco_page() -> str:
    """The page of the study of MoCo, which goes on after the verdict."""
    return read(FINDINGS / "cifar10" / "README.md")


def test_the_page_quotes_the_verdicts_and_the_collapse_that_the_report_finds(study, found, page):
    collapse = [limit for limit in found["limits"] if "dimensional collapse" in limit]
    sentences = {"cifar10": (2, 2), "cifar10-simclr": (1, 0)}
    assert (len(found["verdict"]), len(collapse)) == sentences[study.name]
    for sentence in found["verdict"] + collapse:
        assert sentence in page


def test_the_page_has_the_gains_of_the_report(found, page):
    assert found["tables"]["gain"]
    for row in found["tables"]["gain"]:
        baseline, arm = f"{row['baseline']:.2f}", row["arm"]
        gain, low, high = (
            f"{row[name]:+.2f}".replace("-", "−") for name in ("gain", "low", "high")
        )
        cells = [row["width"], f"{row['parameters']:,}", baseline, gain, f"{low} to {high}"]
        assert f"| {arm} | {' | '.join(map(str, cells))} |" in page


@pytest.mark.parametrize("name", ["gain", "accuracy"])
@pytest.mark.usefixtures("found")
def test_the_report_draws_the_committed_figures(study, out, name):
    drawn, committed = (numbers(folder / "figures" / f"{name}.svg") for folder in (out, study))
    assert [words for words, _ in drawn] == [words for words, _ in committed]
    for (_, mine), (_, theirs) in zip(drawn, committed, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-3)


def numbers(svg: Path) -> list[tuple[str, list[float]]]:
    """What each mark of a figure shows: its words, and its numbers apart."""
    labels = re.findall(r'aria-label="([^"]*)"', svg.read_text(encoding="utf-8"))
    assert len(labels) > 10
    number = r"[−-]?\d+(?:\.\d+)?"
    return [
        (
            re.sub(number, "#", label),
            [float(found.replace("−", "-")) for found in re.findall(number, label)],
        )
        for label in labels
    ]


@pytest.mark.parametrize(
    ("folder", "by", "columns"),
    [
        ("cifar10-batch-norm", "mix_batch_norm", ["none", "shared", "separate"]),
        ("cifar10-warm-up", "arm", ["none", "mixco"]),
    ],
)
def test_the_page_has_the_trials_that_follow_up_the_collapse(moco_page, folder, by, columns):
    trials = open_store(FINDINGS / folder).read("trials")
    kinds = trials[by].fillna("none")
    for (width, seed), rows in trials.set_index(kinds).groupby(["width", "seed"]):
        cells = [
            f"{rows.at[kind, 'accuracy']:.1f} ({rows.at[kind, 'effective_rank']:.1f})"
            for kind in columns
        ]
        assert f"| {width} | {seed} | {' | '.join(cells)} |" in moco_page


def test_the_page_says_how_dimensions_fall_with_the_size_of_steps(moco_page):
    trials = open_store(FINDINGS / "cifar10").read("trials")
    mixco = trials[trials["arm"] == "mixco"]
    loss = 1 / mixco["temperature"] + mixco["mix_weight"] / mixco["mix_temperature"]
    of_width = mixco.assign(step=mixco["learning_rate"] * loss).groupby("width")
    rho = of_width[["step", "effective_rank"]].corr("spearman").xs("step", level=1)
    four, eight, twelve, sixteen = (
        f"{value:.2f}".replace("-", "−") for value in rho["effective_rank"]
    )
    assert f"{sixteen} at width 16, {twelve} at 12, {eight} at 8 and {four} at 4" in moco_page


def test_the_page_has_the_gains_with_a_warm_up(moco_page):
    trials = open_store(FINDINGS / "cifar10-warm-up").read("trials")
    accuracy = trials.pivot(index=["width", "seed"], columns="arm", values="accuracy")
    gains = (accuracy["mixco"] - accuracy["none"]).unstack("width")
    narrow, wide = (_mean(gains[width]) for width in (4, 16))
    assert f"{narrow.replace('(', 'points at width 4 (95 % interval ', 1)} and" in moco_page
    assert f"{wide.replace('(', 'at width 16 (', 1)}: MixCo costs" in moco_page
    assert f"is {_mean(gains[16] - gains[4]).removeprefix('+')}." in moco_page


def test_the_page_of_simclr_has_the_ranks_and_the_pairs_of_the_narrowest_encoder():
    page = read(FINDINGS / "cifar10-simclr" / "README.md")
    trials = open_store(FINDINGS / "cifar10-simclr").read("trials")
    rank = trials.groupby(["width", "arm"])["effective_rank"].mean().unstack("arm")
    ranks = [f"{row['mixco']:.1f} and {row['none']:.1f} at width {n}" for n, row in rank.iterrows()]
    assert f"on average over all trials {', '.join(ranks)}" in page
    narrow = trials[(trials["phase"] == "confirm") & (trials["width"] == 4)]
    accuracy = narrow.pivot(index="seed", columns="arm", values="accuracy")
    gains = sorted((accuracy["mixco"] - accuracy["none"]).round(2), reverse=True)
    first, second, third, last = (f"{gain:+.2f}".replace("-", "−") for gain in gains)
    assert f"one pair: {first}, beside {second}, {third} and {last}." in page


def _mean(values: pd.Series[float]) -> str:
    """A mean with Student's 95 % interval, as the page writes it."""
    found = stats.ttest_1samp(values, 0).confidence_interval()
    return f"{values.mean():+.2f} ({found.low:+.2f} to {found.high:+.2f})".replace("-", "−")
