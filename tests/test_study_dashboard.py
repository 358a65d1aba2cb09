"""`mixco study dashboard`: Optuna studies built from the store, and the page in a real browser."""

from __future__ import annotations

import http.client
import math
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.trial import TrialState
from optuna_dashboard import wsgi
from playwright.sync_api import expect, sync_playwright

from reports.store.tables import Store, open_store
from study import dashboard, provenance
from study.agenda import Agenda
from study.dashboard import cell_studies
from study.dashboard_guard import App, guarded
from study.spec import parse_spec
from tests.local_head import heed_interrupts
from tests.synthetic_trial import SyntheticTrial
from trainables.errors import InputError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SPEC = """
name: seen
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none, mixco]
base: {epochs: 4}
trials: 6
searches: 1
seeds: 1
"""
ENDINGS = ["complete", "pruned", "diverged", "failed", "complete", "complete"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study whose tune trials end in every way there is."""
    spec = parse_spec(SPEC, "test")
    store = open_store(tmp_path_factory.mktemp("seen"), create=True)
    agenda = Agenda(spec)
    while due := agenda.next():
        trial = SyntheticTrial(due.config, due.split)
        status = ENDINGS[due.number or 0] if due.phase == "tune" else "complete"
        length = 4 if status == "complete" else 2
        epochs = [trial.advance() for _ in range(length)]
        accuracy = trial.accuracy(trial.epoch) if status == "complete" else None
        row: dict[str, Any] = {
            "started_at": datetime.now(UTC),
            "finished_at": datetime.now(UTC),
            **trial.summary(),
            **due.identity(),
            "status": status,
            "accuracy": accuracy,
            "error": "out of memory" if status == "failed" else None,
        }
        store.append(row, epochs)
        measured = {epoch["epoch"]: epoch["knn_accuracy"] for epoch in epochs}
        agenda.record({**row, "knn_by_epoch": {k: v for k, v in measured.items() if v}})
    provenance.write(store, spec)
    return store


@pytest.fixture(scope="module")
def url(store: Store) -> Iterator[str]:
    """Where `mixco study dashboard` serves the study; a Ctrl-C must end it without an error."""
    command = [sys.executable, "-m", "study.commands.main", "study", "dashboard", store.name]
    process = subprocess.Popen(
        [*command, "--port", "0"],
        stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_each_cell_is_an_optuna_study_of_its_tune_trials(store: Store) -> None:
    storage = cell_studies(store)
    rows = store.read("trials").set_index("trial_id")
    names = optuna.get_all_study_names(storage)
    assert sorted(names) == sorted(rows["cell"].unique())
    fails = TrialState.FAIL
    states = [TrialState.COMPLETE, TrialState.PRUNED, fails, fails, *[TrialState.COMPLETE] * 2]
    for name in names:
        study = optuna.load_study(study_name=name, storage=storage)
        assert [trial.state for trial in study.trials] == states
        tuned = rows[(rows["cell"] == name) & (rows["phase"] == "tune")]
        assert study.best_value == tuned["accuracy"].max()
        for trial in study.trials:
            row = tuned.loc[trial.user_attrs["trial_id"]]
            assert row["number"] == trial.number
            assert trial.params["learning_rate"] == row["learning_rate"]
            assert ("mix_weight" in trial.params) == name.endswith("mixco")
            epochs = store.read("epochs", trial_ids=[row.name])
            knn = epochs.dropna(subset="knn_accuracy").set_index("epoch")["knn_accuracy"]
            assert trial.intermediate_values == dict(knn)
        assert study.trials[3].user_attrs["error"] == "out of memory"


def test_what_is_missing_or_taken_is_one_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: Address already in use"):
            dashboard.serve(store, port, print)
    with pytest.raises(InputError, match="no study was run there"):
        cell_studies(open_store(tmp_path))
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mixco-study\[dashboard\]'"):
        dashboard.serve(store, 0, print)


def status(app: App, method: str, path: str, **headers: str) -> int:
    """The status that the application answers a request with."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path}
    setup_testing_defaults(environ)
    del environ["HTTP_HOST"]
    answered: list[str] = []
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    list(app(environ, lambda line, *rest: answered.append(line)))
    return int(answered[0].split()[0])


def test_pages_of_other_sites_can_neither_read_nor_change_the_search(store: Store) -> None:
    storage = cell_studies(store)
    app = guarded(wsgi(storage), 8080)
    for host in ("127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST:8080"):
        assert status(app, "GET", "/api/studies", host=host) == 200
    for host in ("evil.example:8080", "127.0.0.1:80", "127.0.0.1", "127.0.0.1.evil.example:8080"):
        assert status(app, "GET", "/api/studies", host=host) == 403
    assert status(app, "GET", "/api/studies") == 403
    (first, *_) = storage.get_all_studies()
    one = f"/api/studies/{first._study_id}"
    for origin in ("http://evil.example", "null", "http://127.0.0.1", "https://localhost:8080"):
        assert status(app, "DELETE", one, host="localhost:8080", origin=origin) == 403
    assert len(storage.get_all_studies()) == 2
    own = {"host": "localhost:8080", "origin": "http://localhost:8080"}
    assert status(app, "DELETE", one, **own) == 204
    assert len(storage.get_all_studies()) == 1


def test_a_served_page_answers_to_its_own_name_only(url: str) -> None:
    host = url.split("/")[2]
    for name, answer in ((host, 200), ("evil.example", 403)):
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request("GET", "/dashboard/", headers={"Host": name})
        assert connection.getresponse().status == answer


def test_a_damaged_row_is_named_in_one_line(store: Store, tmp_path: Path) -> None:
    damaged = open_store(tmp_path / "damaged", create=True)
    rows = store.read("trials").astype(object).where(lambda frame: frame.notna(), None)
    row = next(r for r in rows.to_dict("records") if r["phase"] == "tune" and r["number"] == 0)
    damaged.append({**row, "eval_datasets": [], "accuracy": math.nan})
    spec = provenance.stored_spec(store)
    assert spec is not None
    provenance.write(damaged, spec)
    with pytest.raises(InputError, match=rf"trial {row['trial_id']} is damaged"):
        cell_studies(damaged)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_the_page_shows_the_cells_and_their_trials(url: str, store: Store) -> None:
    cell = "digits-moco-resnet18-w4-mixco"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        expect(page.get_by_text(cell)).to_be_visible()
        expect(page.get_by_text("digits-moco-resnet18-w4-none")).to_be_visible()
        page.get_by_text(cell).click()
        expect(page.get_by_text("Best Trial").first).to_be_visible()
        rows = store.read("trials")
        best = rows[(rows["cell"] == cell) & (rows["phase"] == "tune")]["accuracy"].max()
        expect(page.get_by_text(f"{best:.2f}"[:4]).first).to_be_visible()
        browser.close()
    assert not errors
