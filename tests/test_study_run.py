"""Studies on a real local Ray: what runs, what does not run again, how trials end."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from reports.store.registration import read_registration
from reports.store.tables import Store, open_store
from study.on_ray.driver import StudyError, run_study
from study.on_ray.recorder import Recorder
from study.on_ray.tune_memory import drop_finished
from study.overview import Overview
from study.spec import StudySpec, load_spec, parse_spec
from tests.study_tables import table
from tests.synthetic_trial import MakeSynthetic, SyntheticTrial
from trainables.atomic_write import atomic_write
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.on_ray import tune

BASE = """
name: small
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none, mixco]
base: {epochs: 3}
trials: 4
searches: 1
seeds: 2
search: {startup_trials: 2}
trackers: []
"""


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "results", create=True)


def spec_of(**changes: Any) -> StudySpec:
    spec = parse_spec(BASE, "test")
    return StudySpec.model_validate({**spec.model_dump(), **changes})


ONE_AT_A_TIME = {"cpus": 2}
"""One trial at a time on the two CPUs: one process to start, where its order does not matter."""


def run(store: Store, spec: StudySpec, **options: Any) -> bool:
    return run_study(spec, store, make_trial=options.pop("make_trial", MakeSynthetic()), **options)


@pytest.fixture(scope="module")
def undisturbed(
    local_ray: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, list[str]]:
    """A study run in one go, and a line for each trial that was started."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store = open_store(folder / "results", create=True)
    assert run(store, spec_of(), make_trial=MakeSynthetic(started=folder / "started"))
    return store, (folder / "started").read_text().splitlines()


Undisturbed = tuple[Store, list[str]]


def assert_as_undisturbed(store: Store, undisturbed: Undisturbed) -> None:
    """The tables of ``store`` are those of the undisturbed study, of the widths that it has."""
    widths = store.read("trials")["width"].unique()
    whole = undisturbed[0].read("trials")
    ids = whole.loc[whole["width"].isin(widths), "trial_id"]
    for name in ("trials", "epochs", "evaluations"):
        expected = table(undisturbed[0], name)
        expected = expected[expected["trial_id"].isin(ids)].reset_index(drop=True)
        pd.testing.assert_frame_equal(table(store, name), expected)


def test_a_study_runs_every_trial_once(undisturbed: Undisturbed) -> None:
    store, started = undisturbed
    trials = store.read("trials")
    assert trials["status"].eq("complete").all()
    assert trials.groupby(["cell", "phase"]).size().tolist() == [2, 4] * 4
    assert len(started) == 24
    assert len(store.read("epochs")) == 24 * 3
    assert not (Path(store.root) / ".tune").exists()


def test_tuning_sees_validation_and_confirm_fresh_seeds_and_test(undisturbed: Undisturbed) -> None:
    trials = undisturbed[0].read("trials")
    tune, confirm = trials[trials["phase"] == "tune"], trials[trials["phase"] == "confirm"]
    assert set(tune["split"]) == {"validation"}
    assert set(tune["seed"]) == {0}
    assert set(confirm["split"]) == {"test"}
    assert confirm.groupby("cell")["seed"].apply(set).eq({1, 2}).all()
    best = tune.sort_values(["accuracy", "number"], ascending=[False, True])
    best = best.drop_duplicates("cell").set_index("cell")
    for _, row in confirm.iterrows():
        assert row["tuned_from"] == best.loc[row["cell"], "trial_id"]
        assert row["learning_rate"] == best.loc[row["cell"], "learning_rate"]


def test_running_again_runs_nothing(undisturbed: Undisturbed) -> None:
    store, _ = undisturbed

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path(store.root).glob("*/*.parquet")}

    before = files()
    assert run(store, spec_of(), make_trial=MakeSynthetic(trouble=fail_always))
    assert files() == before


def test_a_study_with_resources_by_width_is_read_back_and_runs_nothing_again(store: Store) -> None:
    by_width = {"cpus": {1: 1.0, 2: 1.0}}
    spec = spec_of(widths=(4,), arms=("none",), trials=1, seeds=1, resources=by_width)
    assert run(store, spec)
    stored = load_spec(f"{store.root}/study.yaml")
    assert stored == spec
    assert run(store, stored, make_trial=MakeSynthetic(trouble=fail_always))
    assert set(store.read("trials")["status"]) == {"complete"}


def test_growing_a_study_ends_in_the_table_of_one_run(
    store: Store, undisturbed: Undisturbed
) -> None:
    alone = {"resources": ONE_AT_A_TIME}
    run(store, spec_of(widths=(8,), arms=("mixco",), trials=3, seeds=1, **alone))
    run(store, spec_of(**alone))
    grown, whole = table(store), table(undisturbed[0])
    # Confirm runs of what was the best config before the budget grew stay, marked by their source.
    extra = set(grown["trial_id"]) - set(whole["trial_id"])
    assert all("-confirm-" in name for name in extra)
    grown = grown[~grown["trial_id"].isin(extra)].reset_index(drop=True)
    pd.testing.assert_frame_equal(grown, whole)


def test_a_study_that_looks_at_its_results_goes_on_by_itself_and_from_any_row(
    store: Store, tmp_path: Path
) -> None:
    looks = {"searches": 2, "until": "verdict", "max_searches": 3}
    spec = spec_of(trials=2, seeds=1, **looks, **ASHA)
    whole = open_store(tmp_path / "whole", create=True)
    assert run(whole, spec)
    taken = read_registration(whole)
    assert taken is not None
    searches = [look.searches for look in taken.looks]
    assert searches == list(range(2, searches[-1] + 1))
    trials = whole.read("trials")
    assert sorted(trials["search"].unique()) == list(range(searches[-1]))
    assert trials[trials["number"] == 0]["status"].eq("complete").all()
    copy_without(store, whole, r"w8-mixco-r1-(tune-0001|confirm)|-r2-")
    assert run(store, spec)
    again = read_registration(store)
    assert again is not None
    assert [look.model_dump(exclude={"at"}) for look in again.looks] == [
        look.model_dump(exclude={"at"}) for look in taken.looks
    ]
    pd.testing.assert_frame_equal(table(store), table(whole))


def copy_without(store: Store, source: Store, lost: str) -> None:
    """Copies the trials of ``source`` whose ids do not match the pattern ``lost``."""
    tables = {name: source.read(name) for name in ("trials", "epochs", "evaluations")}
    for trial_id in tables["trials"]["trial_id"]:
        if re.search(lost, trial_id):
            continue
        own = {
            name: [
                {key: value for key, value in row.items() if not _is_null(value)}
                for row in rows[rows["trial_id"] == trial_id].to_dict("records")
            ]
            for name, rows in tables.items()
        }
        trial = own["trials"][0]
        trial["eval_datasets"] = list(trial["eval_datasets"])
        store.append(trial, own["epochs"], own["evaluations"])


def test_lost_rows_are_run_again_with_the_same_results(
    store: Store, undisturbed: Undisturbed
) -> None:
    copy_without(store, undisturbed[0], r"w8-none-tune-000[12]|w4-mixco-confirm-s2")
    assert len(store.ids()) == 21
    run(store, spec_of())
    assert len(store.ids()) == 24
    assert_as_undisturbed(store, undisturbed)


def _is_null(value: Any) -> bool:
    return bool(pd.isna(value)) if pd.api.types.is_scalar(value) else False


def diverge_small_rates(config: TrialConfig, epoch: int) -> None:
    if config.learning_rate != 0.03 and epoch == 2:
        raise FloatingPointError("loss is nan")


def fail_mixing(config: TrialConfig, epoch: int) -> None:
    if config.arm == "mixco":
        raise MemoryError("out of memory")


def fail_always(config: TrialConfig, epoch: int) -> None:
    raise OSError("no such data")


def test_every_ending_has_its_name(store: Store) -> None:
    spec = spec_of(widths=(4,), resources=ONE_AT_A_TIME)
    run(store, spec, make_trial=MakeSynthetic(trouble=diverge_small_rates))
    trials = store.read("trials").set_index("trial_id")
    diverged = trials[trials["status"] == "diverged"]
    assert len(diverged) == 6
    assert diverged["error"].eq("loss is nan").all()
    assert diverged["epochs_done"].eq(1).all()
    assert trials.loc["digits-moco-resnet18-w4-none-tune-0000", "status"] == "complete"
    assert (trials["phase"] == "confirm").sum() == 4


def test_a_failing_cell_is_recorded_and_stops_no_other(store: Store, tmp_path: Path) -> None:
    started = tmp_path / "started"
    make = MakeSynthetic(trouble=fail_mixing, started=started)
    spec = spec_of(widths=(4,), methods=("moco", "simclr"), resources=ONE_AT_A_TIME)
    assert run(store, spec, make_trial=make)
    trials = store.read("trials")
    failed = trials[trials["status"] == "failed"]
    assert set(failed["arm"]) == {"mixco"}
    assert failed["error"].str.startswith("MemoryError: out of memory").all()
    assert trials[trials["arm"] == "none"]["status"].eq("complete").all()
    # Three attempts each, and none in a second run.
    assert len(started.read_text().splitlines()) == 3 * 8 + 12
    run(store, spec, make_trial=make)
    assert len(started.read_text().splitlines()) == 3 * 8 + 12


def test_a_study_whose_every_trial_fails_stops_and_says_why(store: Store) -> None:
    with pytest.raises(StudyError, match="no such data"):
        spec = spec_of(trials=50, resources=ONE_AT_A_TIME)
        run(store, spec, make_trial=MakeSynthetic(trouble=fail_always))
    assert len(store.ids()) < 10


def test_failed_trials_run_again_when_asked(store: Store, undisturbed: Undisturbed) -> None:
    spec = spec_of(widths=(8,), resources=ONE_AT_A_TIME)
    run(store, spec, make_trial=MakeSynthetic(trouble=fail_mixing))
    assert (store.read("trials")["status"] == "failed").sum() == 4
    status = Overview(store).render()
    assert "not confirmed: digits-moco-resnet18-w8-mixco" in str(status.renderables[1])  # type: ignore[attr-defined]
    assert run(store, spec, retry_failed=True)
    assert_as_undisturbed(store, undisturbed)


class KillAlways:
    """Kills the process of the second trial of width 4 each time."""

    def __call__(self, config: TrialConfig, epoch: int) -> None:
        if config.width == 4 and config.arm == "none" and config.learning_rate != 0.03:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_trial_whose_process_dies_each_time_is_recorded_and_stops_no_other(store: Store) -> None:
    spec = spec_of(trials=2, seeds=1)
    assert run(store, spec, make_trial=MakeSynthetic(trouble=KillAlways()))
    trials = store.read("trials").set_index("trial_id")
    failed = trials[trials["status"] == "failed"]
    assert failed.index.tolist() == ["digits-moco-resnet18-w4-none-tune-0001"]
    assert re.search("died 4 times, at last: .*died", failed["error"].iloc[0])
    assert len(trials) == 12


class KillOnce:
    """Kills the trial's process the first time that a trial of width 8 reaches epoch 2."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, config: TrialConfig, epoch: int) -> None:
        if config.width == 8 and epoch == 2 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_costs_nothing(
    store: Store, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    spec = spec_of(widths=(8,))
    run(store, spec, make_trial=MakeSynthetic(trouble=KillOnce(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()
    assert_as_undisturbed(store, undisturbed)


@dataclass
class MakeWithOtherImages(MakeSynthetic):
    """Trials that saw other contents of the data set."""

    def __call__(self, *arguments: Any) -> SyntheticTrial:
        trial = super().__call__(*arguments)
        summary = trial.summary
        trial.summary = lambda: {**summary(), "data_fingerprint": "fp-others"}  # type: ignore[method-assign]
        return trial


def test_trials_that_saw_other_images_are_not_mixed_with_the_recorded_ones(store: Store) -> None:
    small = spec_of(widths=(4,), arms=("none",), trials=1, seeds=1, resources=ONE_AT_A_TIME)
    assert run(store, small)
    recorded = store.ids()
    grown = spec_of(widths=(4,), arms=("none",), trials=1, seeds=2, resources=ONE_AT_A_TIME)
    with pytest.raises(
        StudyError,
        match=r"recorded trials \(fingerprint fp-digit, now fp-other",
    ):
        run(store, grown, make_trial=MakeWithOtherImages())
    assert store.ids() == recorded
    assert run(store, grown, make_trial=MakeWithOtherImages(), accept_mixed=True)
    assert len(store.ids()) == len(recorded) + 1


@dataclass
class DieWhenReused(MakeSynthetic):
    """The first process that is to run a further trial dies before it starts that."""

    mark: Path = Path()

    def __call__(self, *arguments: Any) -> SyntheticTrial:
        def die_once() -> None:
            with suppress(FileExistsError):
                self.mark.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)

        trial = super().__call__(*arguments)
        trial.close = die_once  # type: ignore[attr-defined]
        return trial


@pytest.mark.slow
def test_a_worker_killed_between_two_trials_costs_nothing(
    store: Store, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """Tune counts this death twice, and gives the trial up at the second count."""
    assert run(store, spec_of(widths=(8,)), make_trial=DieWhenReused(mark=tmp_path / "mark"))
    assert (tmp_path / "mark").exists()
    assert_as_undisturbed(store, undisturbed)


ASHA = {"stopping": {"rule": "asha", "grace_epochs": 1, "reduction_factor": 2.0}}


@pytest.mark.slow
def test_asha_prunes_within_cells_and_resumes_to_the_same_table(
    store: Store, tmp_path: Path
) -> None:
    spec = spec_of(arms=("mixco",), trials=8, base={"epochs": 8}, **ASHA)
    whole = open_store(tmp_path / "whole", create=True)
    run(whole, spec)
    trials = whole.read("trials")
    pruned = trials[trials["status"] == "pruned"]
    assert len(pruned) > 3
    assert (pruned["epochs_done"] < 8).all()
    assert pruned["accuracy"].isna().all()
    # Every cell keeps a trial: a shared ladder would stop all of the narrow ones.
    assert trials[trials["status"] == "complete"].groupby("cell").size().gt(2).all()

    copy_without(store, whole, r"-tune-000[4-7]|w8-mixco-tune-0003|confirm")
    run(store, spec)
    pd.testing.assert_frame_equal(table(store), table(whole))


def test_incomparable_changes_are_refused_by_name(store: Store, undisturbed: Undisturbed) -> None:
    copy_without(store, undisturbed[0], "nothing")
    run(store, spec_of())
    before = table(store)
    changed = spec_of(base={"epochs": 5})
    with pytest.raises(InputError, match=r"base\.epochs 3 -> 5.*--accept-mixed"):
        run(store, changed)
    pd.testing.assert_frame_equal(table(store), before)
    assert parse_spec(Path(store.root, "study.yaml").read_text(), "stored") == spec_of()


def test_results_that_cannot_be_written_stop_the_study(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: Any) -> None:
        if path.parent.name == "trials" and len(list(path.parent.glob("*.parquet"))) >= 5:
            raise OSError(28, "No space left on device")
        atomic_write(path, content)

    monkeypatch.setattr("reports.store.files.atomic_write", full)
    spec = spec_of(widths=(4,), resources=ONE_AT_A_TIME)
    with pytest.raises(StudyError, match="No space left"):
        run(store, spec)
    assert len(store.ids()) == 5
    monkeypatch.undo()
    assert run(store, spec)
    assert len(store.ids()) == 12


def test_provenance_lies_beside_the_tables(undisturbed: Undisturbed) -> None:
    root = Path(undisturbed[0].root)
    assert parse_spec((root / "study.yaml").read_text(), "stored") == spec_of()
    record = json.loads((root / "provenance.json").read_text())
    assert record["data_fingerprints"] == {"digits": ["fp-digits"]}
    assert record["packages"]["optuna"]


def test_where_nothing_is_left_to_run_the_software_of_the_trials_stays_recorded(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed[0].root, tmp_path / "results")
    path = tmp_path / "results" / "provenance.json"
    elsewhere = {"packages": {"torch": "1.0"}, "written_at": "2020-01-01T00:00:00+00:00"}
    before = {**json.loads(path.read_text()), **elsewhere}
    path.write_text(json.dumps(before))
    assert run(open_store(tmp_path / "results"), spec_of())
    assert json.loads(path.read_text()) == before


@pytest.mark.slow
def test_tune_forgets_trials_that_have_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a new Ray keeps its trials in another way than `tune_memory` knows."""
    from ray.tune.experiment import Trial

    listed: list[int] = []
    alive: list[int] = []
    record = Recorder.on_trial_complete

    def spy(self: Any, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record(self, iteration, trials, trial, **info)
        listed.append(len(trials))
        if len(listed) % 9 == 0:
            gc.collect()
            alive.append(sum(type(some) is Trial for some in gc.get_objects()))

    monkeypatch.setattr(Recorder, "on_trial_complete", spy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(store, spec_of(trials=5, base={"epochs": 1}))
    assert len(listed) == 28
    # Tune knows those that run or wait, in each of four cells one or its confirm trials, and the
    # one that ended last.
    assert max(listed) <= 9
    assert len(alive) == 3
    assert max(alive) <= 9


def test_a_ray_that_keeps_trials_in_another_way_is_left_alone() -> None:
    class Finished:
        def is_finished(self) -> bool:
            return True

    trials = [Finished()]
    another = SimpleNamespace(get_trials=lambda: trials, _live_trials=set(trials))
    with pytest.warns(UserWarning, match="remembers every trial"):
        drop_finished(another)
    assert len(trials) == len(another._live_trials) == 1


def checkpoint_always(config: TrialConfig, epoch: int) -> None:
    tune.CHECKPOINT_SECONDS = 0.0


def test_checkpoints_go_with_their_trials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    record = Recorder.on_trial_complete

    def spy(self: Any, *known: Any, **info: Any) -> None:
        kept.append(len(list(Path(store.root).glob(".tune/run/*/checkpoint_*"))))
        record(self, *known, **info)

    monkeypatch.setattr(Recorder, "on_trial_complete", spy)
    spec = spec_of(widths=(8,), resources=ONE_AT_A_TIME)
    assert run(store, spec, make_trial=MakeSynthetic(trouble=checkpoint_always))
    # Tune keeps two of each trial that runs, and is about to delete a third.
    assert 2 <= max(kept) <= 3 * 4
    assert len(kept) == 12
