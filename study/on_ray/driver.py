"""Fill in what a study's results lack: tune, then confirm, on Ray Tune."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from reports.store.files import StoreError
from reports.store.schema import COMPLETE, FAILED, PRUNED, TUNE
from reports.store.tables import Store
from study import pareto, provenance
from study.agenda import Agenda
from study.lock import StudyLock
from study.on_ray import cluster
from study.on_ray.gpu_shares import GpuShares
from study.on_ray.stopping import CellLadders
from study.on_ray.trackers import check_usable, trackers
from study.on_ray.tune_patches import ForgettingScheduler, NoProgress
from study.overview import knn_by_epoch, missing_trials, recorded_rows
from study.plan import DueTrial
from study.progress import Progress
from study.resources import Allotment
from study.samplers import SAMPLERS
from study.spec import StudySpec
from trainables.errors import listed
from trainables.on_ray.steps import MakeTrial, local_trial, remove_group
from trainables.on_ray.tune import TrialTrainable

MAX_FAILURES = 3
"""How often a trial is moved to another process after its own, or its node, died."""
_DRIVER = {"memory": 1.0}
"""Bytes: Tune wants something, and what drives a trial's workers must take no CPU of theirs.

Drivers that held CPUs could fill a cluster, and wait for ever for room for their workers.
"""
HOPELESS = 5
"""Trials that must fail, with none complete, before a study is given up."""


class StudyError(RuntimeError):
    """The study cannot go on; what has finished is recorded."""


def run_study(
    spec: StudySpec,
    store: Store,
    *,
    address: str | None = None,
    data_dir: Path | None = None,
    accept_mixed: bool = False,
    retry_failed: bool = False,
    make_trial: MakeTrial = local_trial,
) -> bool:
    """Runs every trial that ``store`` lacks; whether the study is complete.

    False means interrupted (Ctrl-C): the same call goes on.

    Args:
        spec: the study.
        store: its results, there or not.
        address: of a Ray cluster; default: this machine, or the cluster Ray is connected to.
        data_dir: where data sets are.
        accept_mixed: go on although the study has changed in what its rows have in common.
        retry_failed: run trials again that are recorded as failed.
        make_trial: what a trial is; tests and benchmarks put a formula in its place.

    Raises:
        InputError: the results are another study's, or another driver runs it.
        StudyError: no trial succeeds, or results cannot be written.
    """
    SAMPLERS[spec.search.sampler].check_installed()
    check_usable(spec, store)
    # A cluster that cannot be used leaves no trace in the results.
    there = cluster.connected(address) if address else nullcontext()
    with there, StudyLock(store) as lock:
        if store.ids() and not accept_mixed:
            provenance.check_same_study(store, spec)
        provenance.write(store, spec)
        store.compact_leftovers()
        rows = recorded_rows(store)
        if retry_failed:
            rows = [row for row in rows if row["status"] != FAILED]
        agenda = Agenda(spec, rows)
        if not agenda.finished:
            _launch(agenda, rows, store, lock, address, data_dir, make_trial)
        provenance.write(store, spec)
        pareto.write(store, agenda)
        store.compact()
        if agenda.finished and (missing := missing_trials(store, agenda)):
            raise StudyError(
                f"{store.name}: {len(missing)} trials ended, but their results are gone: "
                f"{listed(missing, 5)}; the same command runs them again"
            )
        return agenda.finished


class _Run:
    """What Tune's searcher, callback and stopper share while a study runs."""

    def __init__(
        self,
        agenda: Agenda,
        rows: list[dict[str, Any]],
        store: Store,
        lock: StudyLock,
        progress: Progress,
    ) -> None:
        self.agenda = agenda
        self.store = store
        self.lock = lock
        self.progress = progress
        self.interrupted = False
        self.error: StudyError | None = None
        self.completed = agenda.count(COMPLETE)
        self.failed = 0
        self.shares = GpuShares(rows)
        self.allotted: dict[str, Allotment] = {}
        """What each trial that is under way was given."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles searcher, callback and stopper into its experiment folder, which is not read.
        return {}

    @property
    def over(self) -> bool:
        """Whether no further trial may start, finished or not."""
        return self.interrupted or self.error is not None or self.lock.lost

    def allot(self, job: DueTrial) -> bool:
        """Whether ``job`` may start now, with what it is then given.

        Tune itself waits for a reused trial's resources. Ray Train asks for its workers' only once
        the trial has started: where a study has such trials, so many of all its trials start as
        there is room for. One always may: a cluster that grows on demand must see the demand.
        """
        spec, width = self.agenda.spec, job.config.width
        given = spec.resources.of(width, self.shares.of(job.config.encoder, width))
        if self.allotted and "train" in map(spec.runner_of, spec.widths):
            there = ray.cluster_resources()
            wanted = [given, *self.allotted.values()]
            for kind in given.total:
                if sum(one.total[kind] for one in wanted) > there.get(kind, 0.0) + 1e-6:
                    return False
        self.allotted[job.trial_id] = given
        return True

    def record(
        self,
        job: DueTrial,
        status: str,
        columns: Mapping[str, Any],
        epochs: Mapping[int, Mapping[str, Any]],
        evaluations: list[Mapping[str, Any]],
    ) -> None:
        """Stores a trial that ended, then tells the agenda."""
        now = datetime.now(UTC)
        given = self.allotted[job.trial_id]
        row = {
            "started_at": now,
            "finished_at": now,
            "workers": given.workers,
            **columns,
            "runner": self.agenda.spec.runner_of(job.config.width),
            **job.identity(),
            "study": self.agenda.spec.name,
            "status": status,
        }
        if row.get("gpu_hours"):  # of whole GPUs, one for each worker, as far as a trial knows
            row["gpu_hours"] *= given.gpus
        try:
            self.store.append(row, [epochs[epoch] for epoch in sorted(epochs)], evaluations)
        except StoreError as error:
            self.error = self.error or StudyError(str(error))
            return
        self.store.compact_if_many()
        progress = {
            epoch: values["knn_accuracy"]
            for epoch, values in sorted(epochs.items())
            if values.get("knn_accuracy") is not None
        }
        self.agenda.record({"accuracy": None, **row, "progress": progress})
        self.shares.note(row)
        self.progress.ended(row)
        self.completed += status == COMPLETE
        self.failed += status == FAILED
        if self.failed >= HOPELESS and not self.completed:
            self.error = StudyError(
                f"no trial has succeeded and {self.failed} failed, the last with: {row['error']} "
                "(once the cause is gone, run again with --retry-failed)"
            )

    def next_due(self) -> DueTrial | None:
        """The next trial to start; a trial whose config is wrong is recorded as failed instead."""
        while (due := self.agenda.next()) and due.error:
            self.allotted[due.trial_id] = self.agenda.spec.resources.of(due.config.width)
            self.record(due, FAILED, {"error": due.error}, {}, [])
            del self.allotted[due.trial_id]
            if self.over:
                return None
        return due

    def give_back(self, job: DueTrial) -> None:
        """Has a trial that has not ended start anew."""
        self.allotted.pop(job.trial_id)
        self.agenda.give_back(job)


class _AgendaSearcher(Searcher):
    """Hands the agenda's jobs to Tune."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self._run = run
        self._waiting: DueTrial | None = None  # for room

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        if self._run.over or self._run.agenda.finished:
            return Searcher.FINISHED
        job = self._waiting or self._run.next_due()
        if job is None:
            return None
        self._waiting = None if self._run.allot(job) else job
        if self._waiting:
            return None
        given = self._run.allotted[job.trial_id]
        runner = self._run.agenda.spec.runner_of(job.config.width)
        return {
            "job": {
                "trial_id": job.trial_id,
                "cell": job.cell,
                "phase": job.phase,
                "split": job.split,
                "config": job.config.model_dump(mode="json"),
                "runner": runner,
                "workers": given.workers,
                "cpus": given.cpus,
                "gpus": given.gpus,
            },
            "resources": _DRIVER if runner == "train" else given.total,
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """`_Recorder` takes results in: only it sees them whole."""

    def save(self, checkpoint_path: str) -> None:
        """The results are the state; Tune's own is not used to go on."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError


class _Recorder(tune.Callback):
    """Collects each trial's epochs, and stores it when Tune says that it ended."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._epochs: dict[str, dict[int, Mapping[str, Any]]] = {}
        self._deaths: Counter[str] = Counter()
        """Of the process or node, for trials that Tune gave up."""

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        if row := result.get("row"):
            # A trial that began again reports its epochs again, the same ones.
            self._epochs.setdefault(trial.config["job"]["trial_id"], {})[row["epoch"]] = row

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        result = trial.last_result
        job, actor = trial.config["job"], trial.temporary_state.ray_actor
        if job["runner"] == "train" and actor is not None:
            actor.end.remote()  # its process may be kept, and would keep the workers
        if "summary" not in result:
            return  # stopped before its first epoch
        status = result.get("status", PRUNED)
        columns = {**result["summary"], **result.get("trial", {}), "error": result.get("error")}
        self._record(trial, status, columns, result.get("evaluations", []))

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.on_trial_recover(iteration, trials, trial)
        job = self._run.agenda.running.get(trial.config["job"]["trial_id"])
        if job is None:
            return
        # Tune takes the death of a process that was to start on a further trial for two failures,
        # and gives the trial up at the second, whatever `max_failures` is.
        too_soon = trial.num_failures <= MAX_FAILURES
        self._deaths[job.trial_id] += max(1, trial.num_failures - too_soon)
        deaths = self._deaths[job.trial_id]
        if deaths <= MAX_FAILURES:
            self._run.give_back(job)
            return
        result = trial.last_result or {}
        text = f"its process or node died {deaths} times, at last: {_last_words(trial)}"
        self._record(trial, FAILED, {**result.get("summary", {}), "error": text}, [])

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        # Train does not clean up after a controller that was killed where Ray has no dashboard.
        if group := (trial.last_result or {}).get("group"):
            remove_group(group)

    def _record(
        self,
        trial: Trial,
        status: str,
        columns: Mapping[str, Any],
        evaluations: list[Mapping[str, Any]],
    ) -> None:
        job = self._run.agenda.running.get(trial.config["job"]["trial_id"])
        if job is None or self._run.over:
            return
        epochs = self._epochs.pop(job.trial_id, {})
        self._run.record(job, status, columns, epochs, evaluations)
        self._run.allotted.pop(job.trial_id, None)
        if trial.checkpoint:  # of thousands of trials they would fill the disk
            with suppress(OSError):
                self._run.store.filesystem.delete_dir(trial.path)


def _last_words(trial: Trial) -> str:
    """The first line of what Tune noted of a trial's latest failure."""
    try:
        notes = Path(trial.error_file or "").read_text(errors="replace")
    except OSError:
        return "for reasons unknown"
    lines = notes.rpartition("Failure # ")[2].splitlines()[1:]
    return next((line.strip()[:300] for line in lines if line.strip()), "for reasons unknown")


class _StopWhenOver(tune.Stopper):
    """Ends Tune's run at once when the study is interrupted or cannot go on."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._run.over


def _launch(
    agenda: Agenda,
    rows: list[dict[str, Any]],
    store: Store,
    lock: StudyLock,
    address: str | None,
    data_dir: Path | None,
    make_trial: MakeTrial,
) -> None:
    with (
        cluster.connected(address) as dashboard,
        cluster.scratch(store) as scratch,
        Progress(agenda, dashboard) as progress,
    ):
        run = _Run(agenda, rows, store, lock, progress)
        trainable = tune.with_resources(
            tune.with_parameters(
                TrialTrainable,
                make_trial=make_trial,
                data_dir=data_dir,
                scratch=scratch,
                filesystem=store.filesystem,
            ),
            lambda config: tune.PlacementGroupFactory([config["resources"]]),
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=_AgendaSearcher(run),
                scheduler=_scheduler(agenda, rows, store),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="run",
                storage_path=scratch,
                storage_filesystem=store.filesystem,
                callbacks=[_Recorder(run), NoProgress(), *trackers(agenda.spec, store)],
                stop=_StopWhenOver(run),
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
                # A trial that has ended needs no checkpoint. Tune snapshots all its trials whenever
                # one has saved `num_to_keep` times: at 1, each checkpoint costs the driver that.
                checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_at_end=False),
                verbose=0,
            ),
        )
        with _interruptible(run):
            tuner.fit()
    if lock.lost:
        raise StudyError(f"{store.name}: another driver took this study over")
    if run.error:
        raise run.error


def _scheduler(agenda: Agenda, rows: list[dict[str, Any]], store: Store) -> TrialScheduler:
    if agenda.spec.stopping.rule == "none":
        return ForgettingScheduler()
    lengths = {name: state.cell.config.epochs for name, state in agenda.cells.items()}
    ladders = CellLadders(agenda.spec.stopping, lengths)
    tuned = {
        row["trial_id"]: row["cell"]
        for row in rows
        if row["phase"] == TUNE and row["cell"] in agenda.cells
    }
    if tuned:
        for trial_id, epochs in knn_by_epoch(store, tuned).items():
            ladders.replay(
                tuned[trial_id],
                trial_id,
                [{"epoch": epoch, "knn_accuracy": accuracy} for epoch, accuracy in epochs],
            )
    return ladders


@contextmanager
def _interruptible(run: _Run) -> Iterator[None]:
    """Ctrl-C ends the run after the results at hand; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
