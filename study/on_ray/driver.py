"""The driver of a study: runs the trials that the results lack, on Ray Tune.

The driver is the one process that decides and records. What it consists of:

- `searcher` hands the trials of the agenda to Tune, `admission` says which may start;
- `recorder` writes each trial that has ended to the results, and tells the agenda;
- `stopping` ends tune trials early, `halt` and `interruption` end the run.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.error import TuneError
from ray.tune.schedulers import TrialScheduler

from reports.store.schema import FAILED, TUNE
from reports.store.tables import Store
from study import pareto, provenance
from study.agenda import Agenda
from study.console import say
from study.display import StudyDisplay
from study.lock import StudyLock
from study.looks import register_plan, take_look
from study.on_ray import cluster
from study.on_ray.admission import Admission, check_fits, check_fits_here
from study.on_ray.carried import RUN, Carried
from study.on_ray.halt import Halt, HaltStopper, StudyError
from study.on_ray.interruption import Interruption, interrupted_line
from study.on_ray.quiet_tune import quiet_tune
from study.on_ray.recorder import MAX_FAILURES, Recorder, assignment_of
from study.on_ray.searcher import AgendaSearcher
from study.on_ray.seen_images import SeenImages
from study.on_ray.stopping import SearchLadders
from study.on_ray.trackers import check_usable
from study.on_ray.trackers.feed import feeds
from study.on_ray.tune_memory import BoundedMemoryScheduler, SilentProgress
from study.on_ray.waiting import WaitingNotice
from study.overview import knn_by_epoch, missing_trials, recorded_rows
from study.plan import search_of
from study.samplers import SAMPLERS
from study.spec import StudySpec
from trainables.errors import cause, listed
from trainables.on_ray.steps import MakeTrial, local_trial
from trainables.on_ray.tune import TrialTrainable

_WRITING_SECONDS = 3.0
"""How long an interrupted process waits for a trial that is being written at the moment."""

__all__ = ["StudyError", "run_study"]


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
    """Runs every trial that ``store`` lacks; returns whether the study is complete.

    False means interrupted, by Ctrl-C or another signal: the same call goes on.

    Args:
        spec: the study.
        store: its results, which may be empty.
        address: the Ray cluster's; default: this machine, or the cluster that Ray is connected to.
        data_dir: where data sets are.
        accept_mixed: go on although the study has changed so that its rows are not comparable.
        retry_failed: run the trials again that are recorded as failed.
        make_trial: makes a trial; tests and benchmarks pass a formula that takes no time.

    Raises:
        InputError: the results belong to another study, another driver runs it, a tracker cannot
            be used, or a trial wants more than this machine has.
        StudyError: no trial succeeds, or results cannot be written.
    """
    SAMPLERS.find(spec.search.sampler).check_installed()
    check_usable(spec.trackers, store)
    if cluster.starts_here(address):
        check_fits_here(spec, store)
    # Connect first: a cluster that cannot be used then leaves no trace in the results.
    connection = cluster.connected(address) if address else nullcontext()
    with connection, StudyLock(store) as lock:
        if store.ids() and not accept_mixed:
            provenance.check_same_study(store, spec)
        store.compact_leftovers()
        rows = recorded_rows(store)
        if retry_failed:
            rows = [row for row in rows if row["status"] != FAILED]
        agenda = Agenda(spec, rows)
        if agenda.finished:
            register_plan(store, spec, rows)
            take_look(agenda, store, say)
        runs = not agenda.finished
        if runs:
            images = SeenImages([] if accept_mixed else rows)
            _run(agenda, rows, store, lock, address, data_dir, make_trial, images)
        provenance.write(store, spec, runs=runs)
        pareto.write(store, agenda)
        store.compact()
        if agenda.finished and (missing := missing_trials(store, agenda)):
            raise StudyError(
                f"{store.name}: {len(missing)} trials ended, but their results are gone: "
                f"{listed(missing, 5)}; the same command runs them again"
            )
        return agenda.finished


def _run(
    agenda: Agenda,
    rows: list[dict[str, Any]],
    store: Store,
    lock: StudyLock,
    address: str | None,
    data_dir: Path | None,
    make_trial: MakeTrial,
    images: SeenImages,
) -> None:
    """Runs the agenda until it is finished or the run must end.

    Raises:
        InputError: a trial wants more than this machine has.
        StudyError: the study cannot go on.
    """
    with (
        Interruption(lambda: _leave(lock, store)) as interruption,
        cluster.connected(address) as connection,
    ):
        interruption.listen()
        interruption.cluster_answers = connection.answers
        if not connection.can_grow:
            check_fits(agenda)
        register_plan(store, agenda.spec, rows)
        provenance.write(store, agenda.spec)
        halt = Halt(lock, interruption)
        with (
            cluster.scratch(store, carried := Carried(store)) as scratch,
            StudyDisplay(agenda, connection.dashboard) as display,
            quiet_tune(),
        ):
            admission = Admission(agenda.spec, rows)
            recorder = Recorder(agenda, store, admission, halt, display, carried, images)
            interruption.farewell = lambda: _leave(lock, store, recorder, display)
            callbacks = [
                recorder,
                SilentProgress(),
                *([WaitingNotice(agenda, display.say)] if connection.can_grow else []),
                *feeds(agenda.spec.trackers, agenda.spec.name, store),
            ]
            tuner = tune.Tuner(
                _trainable(make_trial, data_dir, scratch, store),
                tune_config=tune.TuneConfig(
                    search_alg=AgendaSearcher(agenda, admission, recorder, halt, carried),
                    trial_dirname_creator=lambda trial: assignment_of(trial)["trial_id"],
                    scheduler=_scheduler(agenda, rows, store),
                    num_samples=-1,
                    reuse_actors=True,
                ),
                run_config=_run_config(scratch, store, callbacks, HaltStopper(halt)),
            )
            if not halt.over:
                _fit(tuner, halt, store)
    if interruption.requested:
        store.compact()  # a study may rest here for long: leave few files to copy
    halt.check(store.name)


def _trainable(make_trial: MakeTrial, data_dir: Path | None, scratch: str, store: Store) -> Any:
    """The trainable for Tune, with the resources that the searcher wrote into each config."""
    return tune.with_resources(
        tune.with_parameters(
            TrialTrainable,
            make_trial=make_trial,
            data_dir=data_dir,
            scratch=scratch,
            filesystem=store.filesystem,
        ),
        lambda config: tune.PlacementGroupFactory([config["resources"]]),
    )


def _run_config(
    scratch: str, store: Store, callbacks: list[tune.Callback], stopper: tune.Stopper
) -> tune.RunConfig:
    return tune.RunConfig(
        name=RUN,
        storage_path=scratch,
        storage_filesystem=store.filesystem,
        callbacks=callbacks,
        stop=stopper,
        failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
        # A trial that has ended needs no checkpoint. Tune writes a snapshot of all its trials
        # whenever a trial has saved `num_to_keep` times: if that were 1, at each checkpoint.
        checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_at_end=False),
        verbose=0,
    )


def _fit(tuner: tune.Tuner, halt: Halt, store: Store) -> None:
    try:
        tuner.fit()
    except (OSError, TuneError) as error:  # Tune could not write its own files, for example
        halt.stop(f"{store.name}: {cause(error)}")


def _scheduler(agenda: Agenda, rows: list[dict[str, Any]], store: Store) -> TrialScheduler:
    """The study's stopping rule; earlier runs' trials stand on its ladders."""
    if agenda.spec.stopping.rule == "none":
        return BoundedMemoryScheduler()
    states = agenda.searches.values()
    lengths = {state.cell.name: state.cell.config.epochs for state in states}
    ladders = SearchLadders(agenda.spec.stopping, lengths)
    tuned = {
        row["trial_id"]: row
        for row in rows
        if row["phase"] == TUNE and search_of(row) in agenda.searches
    }
    if tuned:
        for trial_id, epochs in knn_by_epoch(store, tuned).items():
            ladders.replay(
                tuned[trial_id],
                [{"epoch": epoch, "knn_accuracy": accuracy} for epoch, accuracy in epochs],
            )
    return ladders


def _leave(
    lock: StudyLock,
    store: Store,
    recorder: Recorder | None = None,
    display: StudyDisplay | None = None,
) -> None:
    """The last steps of a process that must end although a call into Ray blocks it."""
    if recorder is not None:
        # Never released: so the blocked main thread cannot begin to write another trial.
        recorder.writing.acquire(timeout=_WRITING_SECONDS)
    if display is not None:
        display.stop()
    lock.release()
    print(interrupted_line(store.name), flush=True)
