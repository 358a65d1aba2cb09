"""The page in a real headless Chromium: offline, interactive, and deaf to hostile names."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from typer.testing import CliRunner

from reports.findings import find
from reports.output.charts import charts_of
from reports.output.embed import script_json
from reports.output.page import render
from reports.output.paper_tables import PAPER
from reports.output.tables import write_tables
from study.commands.report import app
from tests.synthetic_study import Truth, draw_trials, write_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = """</script><script>document.title='stolen'</script><img src=x onerror="alert(1)">"""
FIGURES = ["gain", "accuracy", "scaling", "equivalence", "comparison", "search", "hyperparameters"]
browser_test = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory):
    """The folder of a report with all its exports: a study of a hostile name beside another."""
    truth = Truth(
        datasets=("digits", "a<b>&c"), widths=(4, 8, 16), seeds=3, tune_trials=10, study=HOSTILE
    )
    store = write_store(
        tmp_path_factory.mktemp("results"), draw_trials(truth, np.random.default_rng(0))
    )
    other = write_store(
        tmp_path_factory.mktemp("other"),
        draw_trials(replace(truth, widths=(8, 16, 32)), np.random.default_rng(1)),
    )
    done = CliRunner().invoke(
        app, [str(store), "--out", str(store / "report"), "--compare", str(other)]
    )
    assert done.exit_code == 0, done.output
    return store / "report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, report) -> Iterator[Page]:
    """The page, drawn; it fails the test where the browser complained or asked for anything."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(f"file://{report / 'index.html'}")
    opened.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
    opened.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    yield opened
    assert not complaints
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    opened.close()


class TestInChromium:
    pytestmark = browser_test

    def test_every_figure_is_drawn(self, page):
        names = page.eval_on_selector_all(".chart", "all => all.map(e => e.dataset.figure)")
        assert names == FIGURES
        for name in names:
            box = page.locator(f".chart[data-figure={name}] svg").bounding_box()
            assert box["width"] > 300
            assert box["height"] > 150

    def test_a_hostile_study_name_stays_text(self, page):
        assert HOSTILE in page.locator("h1").inner_text()
        assert page.title().startswith("</script>")
        assert page.locator("img").count() == 0

    def test_choosing_a_data_set_hides_the_others(self, page):
        figure = page.locator(".chart[data-figure=gain]")
        assert "a<b>&c" in figure.inner_text()
        rows = page.locator("tr[data-dataset='a<b>&c']:visible")
        assert rows.count() > 0
        page.get_by_role("checkbox", name="a<b>&c").uncheck()
        page.wait_for_selector("body[data-drawn=yes]")
        page.wait_for_function(
            "!document.querySelector('.chart[data-figure=gain]').textContent.includes('a<b>')"
        )
        assert rows.count() == 0
        assert page.locator("tr[data-dataset=digits]:visible").count() > 0

    def test_a_choice_outlives_the_page_loading_itself_again(self, page):
        page.get_by_role("checkbox", name="simclr").uncheck()
        page.reload()
        page.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
        assert not page.get_by_role("checkbox", name="simclr").is_checked()
        assert page.locator("tr[data-method=simclr]:visible").count() == 0

    def test_hovering_a_point_shows_its_seeds_and_config(self, page):
        points = page.locator(".chart[data-figure=gain] svg .mark-symbol path[aria-label*=pairs]")
        points.first.hover()
        tip = page.locator("#vg-tooltip-element")
        tip.wait_for(state="visible")
        assert "1000, 1001, 1002" in tip.inner_text()
        assert "learning_rate" in tip.inner_text()

    def test_two_studies_share_a_figure_at_every_width_of_either(self, page):
        # 2 data sets, 2 methods, 3 widths; one study of one name is marked.
        assert page.locator(".chart[data-figure=comparison] path[aria-label*=pairs]").count() == 24
        assert page.locator("path[aria-label*='(compared)'][aria-label*=pairs]").count() == 12

    def test_a_phone_scrolls_down_but_not_sideways(self, browser, report):
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        phone.goto(f"file://{report / 'index.html'}")
        phone.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        phone.close()

    def test_a_screen_shows_the_verdict_and_the_gain_and_the_rest_on_demand(self, browser, report):
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        phone.goto(f"file://{report / 'index.html'}")
        phone.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
        verdict = phone.locator("p.verdict:visible")
        assert verdict.count() == 1 and verdict.inner_text().count("95 %") == 1
        box = phone.locator(".chart[data-figure=gain] svg").bounding_box()
        assert box["y"] < 844 and box["x"] + box["width"] <= 390
        assert phone.locator("table:visible").count() == 0
        phone.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert phone.locator("table:visible").count() > 5
        phone.close()

    def test_the_dark_page_is_dark_and_its_figures_readable(self, browser, report):
        dark = browser.new_page(color_scheme="dark")
        dark.goto(f"file://{report / 'index.html'}")
        dark.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
        assert dark.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 27)"
        label = dark.locator(".chart[data-figure=gain] .role-axis-title text").first
        assert label.get_attribute("fill") == "#ececf0"
        dark.close()

    def test_figures_are_drawn_for_paper_before_the_page_is_divided_into_sheets(
        self, browser, report
    ):
        """What grows after that is cut at the end of the last sheet."""
        dark = browser.new_page(color_scheme="dark", viewport={"width": 1400, "height": 900})
        dark.goto(f"file://{report / 'index.html'}")
        dark.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
        label = dark.locator(".chart[data-figure=gain] .role-axis-title text").first
        for event, ink in (("beforeprint", "#1c1c1e"), ("afterprint", "#ececf0")):
            dark.evaluate(f"dispatchEvent(new Event('{event}'))")
            # All is drawn once the listener has returned: the browser waits for nothing else.
            assert dark.evaluate("document.body.dataset.drawn") == "yes"
            assert label.get_attribute("fill") == ink
            widths = dark.locator(".chart svg").evaluate_all(
                "all => all.map(one => one.clientWidth)"
            )
            assert (max(widths) <= 720) == (event == "beforeprint")
        height = "document.body.scrollHeight"
        dark.evaluate("dispatchEvent(new Event('beforeprint'))")
        dark.emulate_media(media="print")
        before = dark.evaluate(height)
        dark.wait_for_timeout(300)
        assert dark.evaluate(height) == before
        dark.close()


def test_every_figure_is_exported_three_times(report):
    signatures = {"svg": b"<svg", "pdf": b"%PDF", "png": b"\x89PNG"}
    for name in FIGURES:
        for kind, signature in signatures.items():
            data = (report / "figures" / f"{name}.{kind}").read_bytes()
            assert data.startswith(signature)
            assert len(data) > 2000


def test_every_table_is_exported_three_times_and_those_of_a_paper_as_latex_too(report):
    names = {path.stem for path in (report / "tables").iterdir()}
    assert {"gain", "trend", "equivalence_parameters", "scaling", "budgets", "endings"} <= names
    for name in names:
        for kind in ("csv", "parquet", "md", *(["tex"] if name in PAPER else [])):
            assert (report / "tables" / f"{name}.{kind}").stat().st_size


def test_json_cannot_close_its_script_element():
    assert "<" not in script_json({"name": HOSTILE})


def test_a_study_without_confirm_runs_makes_a_partial_report():
    trials = draw_trials(Truth(seeds=2, tune_trials=4), np.random.default_rng(1))
    findings = find(trials[trials["phase"] == "tune"])
    page = render(findings, charts_of(findings))
    assert "Partial results: of 16 cells, 16 have no confirm trial yet." in page
    assert "no gain to report" in page


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_study_in_which_nothing_worked_still_reports(status):
    trials = draw_trials(Truth(seeds=2, tune_trials=2), np.random.default_rng(1))
    findings = find(trials.assign(status=status, accuracy=np.nan))
    page = render(findings, charts_of(findings))
    assert "no gain to report" in page
    assert "What went wrong" in page


def test_gpu_hours_are_shown_only_where_a_trial_used_a_gpu(tmp_path):
    trials = draw_trials(Truth(seeds=2, tune_trials=4), np.random.default_rng(1))
    for hours, shown in ((0.0, False), (2.5, True)):
        findings = find(trials.assign(gpu_hours=hours))
        page = render(findings, {})
        assert "hours of trials" in page
        assert ("GPU-hours" in page) == shown
        write_tables(findings.tables(), tmp_path)
        for kind in ("md", "tex"):
            assert ("GPU-hours" in (tmp_path / f"budgets.{kind}").read_text()) == shown
