"""A trial as a Ray Tune class trainable whose process is reused from trial to trial."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, assert_never

from ray.exceptions import RayActorError
from ray.tune import Trainable
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from trainables.checkpoint_clock import CHECKPOINT_SECONDS
from trainables.config import parse_config
from trainables.endings import Ending, ending_of
from trainables.errors import InputError
from trainables.on_ray.notice import NoticeClock, leaving_nodes, this_node_leaves
from trainables.on_ray.steps import (
    ATTEMPTS,
    CHECKPOINT_FILE,
    Assignment,
    MakeTrial,
    Row,
    StepReport,
    Steps,
    TrialSetup,
)
from trainables.on_ray.train import TrainTrial


class TrialTrainable(Trainable):
    """Runs ``config["assignment"]``, an `Assignment`.

    A step of Tune is an epoch, or a part of a long epoch after which Tune saves the trial. What
    `step` returns is a `StepReport`.
    """

    def setup(  # type: ignore[override]  # tune.with_parameters adds arguments to Tune's own
        self,
        config: dict[str, Any],
        make_trial: MakeTrial,
        data_dir: Path | None = None,
        scratch: str = "",
        filesystem: Any = None,
    ) -> None:
        """Called once for each process.

        Args:
            config: Tune's configuration of the first trial of this process.
            make_trial: makes a trial in this process, or in each of its workers.
            data_dir: where data sets are.
            scratch: folder in ``filesystem`` for checkpoints of trials of several workers.
            filesystem: the file system of the results, as pyarrow has it.
        """
        self._make_trial = make_trial
        self._data_dir = data_dir
        self._scratch, self._filesystem = scratch, filesystem
        self._trial: Steps | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called for each further trial in this process."""
        self.end()
        self._assignment: Assignment = new_config["assignment"]
        self._failed_attempts = 0
        self._clock = NoticeClock(CHECKPOINT_SECONDS, self._is_noticed)
        self._earlier: list[Row] = []  # rows of epochs of an earlier run, still to be reported
        return True

    def step(self) -> dict[str, Any]:
        """Trains to the end of an epoch, or until a checkpoint is due; finishes a trained trial.

        Starts again after an error.

        Raises:
            RayActorError: the trial lost its conductor with a node that was taken away.
        """
        while True:
            try:
                return self._advance()
            except Exception as error:
                if isinstance(error, RayActorError) and error.preempted:
                    raise  # Tune goes on from the last checkpoint, and counts no failure.
                ending, summary = ending_of(error), self._summary()
                self.end()
                self._failed_attempts += 1
                if ending.final or self._failed_attempts >= ATTEMPTS:
                    return _last_report(ending, summary)

    def _advance(self) -> dict[str, Any]:
        trial = self._start()
        row = self._earlier.pop(0) if self._earlier else trial.advance(pause=self._clock.is_due)
        report: StepReport = {"summary": dict(trial.summary())}
        if group := getattr(trial, "group", None):
            report["group"] = group
        if row is None:
            return self._saved_after(report)
        report |= {"epoch": row["epoch"], "row": dict(row)}
        if row.get("knn_accuracy") is not None:
            report["knn_accuracy"] = row["knn_accuracy"]
        if trial.done and not self._earlier:
            result = trial.finish()
            report["status"] = "complete"
            report["trial"] = dict(result.trial)
            report["evaluations"] = [dict(evaluation) for evaluation in result.evaluations]
            return {**report, DONE: True}
        # A trial that Tune restores reports no earlier epoch: save it once all are reported.
        save = not self._earlier and self._clock.is_due()
        return self._saved_after(report) if save else {**report}

    def _saved_after(self, report: StepReport) -> dict[str, Any]:
        """The report, with a request to Tune to save the trial."""
        self._clock.restart()
        return {**report, SHOULD_CHECKPOINT: True}

    def _is_noticed(self) -> bool:
        """Whether the trial may soon lose this process, or a worker, with its node."""
        match self._assignment["runner"]:
            case "reused":
                return this_node_leaves()
            case "train":  # the conductor or a worker may be on any node
                return bool(leaving_nodes())
            case _:
                assert_never(self._assignment["runner"])

    def _start(self) -> Steps:
        """The trial; made at the first call."""
        if self._trial is None:
            self._trial = self._new_trial(self._assignment)
            if (path := self._assignment["checkpoint"]) and not self._failed_attempts:
                self._go_on_from(path)
        return self._trial

    def _go_on_from(self, path: str) -> None:
        """Restores what an earlier run has saved, if it is this trial and is whole."""
        assert self._trial is not None
        try:
            with tempfile.TemporaryDirectory() as folder:
                local = Path(folder) / CHECKPOINT_FILE
                with self._filesystem.open_input_file(path) as file:
                    local.write_bytes(file.readall())
                self._trial.restore(local)
        except (OSError, InputError):
            self.end()
            self._trial = self._new_trial(self._assignment)
        self._earlier = [dict(row) for row in self._trial.rows]

    def _new_trial(self, assignment: Assignment) -> Steps:
        config = parse_config(assignment["config"], assignment["trial_id"])
        match assignment["runner"]:
            case "reused":
                return self._make_trial(
                    config, assignment["split"], self._data_dir, assignment["cpus"]
                )
            case "train":
                return TrainTrial(
                    TrialSetup(
                        name=assignment["trial_id"],
                        config=config,
                        split=assignment["split"],
                        data_dir=self._data_dir,
                        workers=assignment["workers"],
                        cpus=assignment["cpus"],
                        gpus=assignment["gpus"],
                        storage=f"{self._scratch}/train",
                        filesystem=self._filesystem,
                        make_trial=self._make_trial,
                        checkpoint_seconds=CHECKPOINT_SECONDS,
                    )
                )
            case _:
                assert_never(assignment["runner"])

    def end(self) -> None:
        """Drops the trial, and ends its workers if it has any.

        The driver calls this as soon as a trial of several workers has ended. Otherwise Tune may
        keep this process for a further trial, and the workers would stay until that trial starts.
        """
        trial, self._trial = self._trial, None
        if close := getattr(trial, "close", None):
            close()

    def cleanup(self) -> None:
        """Called when this process is to end."""
        self.end()

    def _summary(self) -> Row:
        return dict(self._trial.summary()) if self._trial is not None else {}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Saves the trial. Does nothing if the trial has not started."""
        if self._trial is not None:
            self._trial.save(Path(checkpoint_dir) / CHECKPOINT_FILE)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Continues from a saved trial, bit for bit."""
        path = Path(checkpoint_dir) / CHECKPOINT_FILE
        if path.exists():
            self._start().restore(path)
            self._earlier = []


def _last_report(ending: Ending, summary: Row) -> dict[str, Any]:
    report: StepReport = {"status": ending.status, "error": ending.error, "summary": summary}
    return {**report, DONE: True}
