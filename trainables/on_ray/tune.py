"""A trial as a Ray Tune class trainable whose process is reused from trial to trial."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ray.tune import Trainable
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from trainables.config import TrialConfig
from trainables.on_ray.steps import (
    ATTEMPTS,
    CHECKPOINT_SECONDS,
    GaveUpError,
    MakeTrial,
    Steps,
    describe,
)
from trainables.on_ray.train import Order, TrainTrial


class TrialTrainable(Trainable):
    """Runs ``config["job"]``; each step is an epoch.

    A result holds ``row`` (of the table ``epochs``), ``summary`` (the trial's own columns so far)
    and, in the last one, ``status`` and whatever belongs to it: ``trial`` and ``evaluations`` of a
    complete trial, ``error`` of a failed one.
    """

    def setup(  # type: ignore[override]  # tune.with_parameters adds arguments to Tune's own
        self,
        config: dict[str, Any],
        make_trial: MakeTrial,
        data_dir: Path | None = None,
        scratch: str = "",
        filesystem: Any = None,
    ) -> None:
        """Called once for each process."""
        self._make_trial = make_trial
        self._data_dir = data_dir
        self._scratch, self._filesystem = scratch, filesystem
        self._trial: Steps | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called for each further trial in this process."""
        self.end()
        self._job = new_config["job"]
        self._attempts = 0
        self._saved_at = time.monotonic()
        return True

    def step(self) -> dict[str, Any]:
        while True:
            try:
                return self._advance()
            except FloatingPointError as error:
                return {
                    "status": "diverged",
                    "error": str(error),
                    "summary": self._summary(),
                    DONE: True,
                }
            except Exception as error:
                summary = self._summary()
                self.end()
                self._attempts += 1
                if self._attempts >= ATTEMPTS or isinstance(error, GaveUpError):
                    return {
                        "status": "failed",
                        "error": describe(error),
                        "summary": summary,
                        DONE: True,
                    }

    def _advance(self) -> dict[str, Any]:
        trial = self._start()
        row = dict(trial.advance())
        result: dict[str, Any] = {
            "epoch": row["epoch"],
            "row": row,
            "summary": dict(trial.summary()),
        }
        if group := getattr(trial, "group", None):
            result["group"] = group
        if row.get("knn_accuracy") is not None:
            result["knn_accuracy"] = row["knn_accuracy"]
        if trial.done:
            final = trial.finish()
            result |= {
                "status": "complete",
                "trial": dict(final.trial),
                "evaluations": [dict(evaluation) for evaluation in final.evaluations],
                DONE: True,
            }
        elif time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self._saved_at = time.monotonic()
            result[SHOULD_CHECKPOINT] = True
        return result

    def _start(self) -> Steps:
        if self._trial is None:
            job = self._job
            config = TrialConfig.model_validate(job["config"])
            if job["runner"] == "train":
                self._trial = TrainTrial(
                    Order(
                        name=job["trial_id"],
                        config=config,
                        split=job["split"],
                        data_dir=self._data_dir,
                        workers=job["workers"],
                        cpus=job["cpus"],
                        gpus=job["gpus"],
                        storage=f"{self._scratch}/train",
                        filesystem=self._filesystem,
                        make_trial=self._make_trial,
                        checkpoint_seconds=CHECKPOINT_SECONDS,
                    )
                )
            else:
                self._trial = self._make_trial(config, job["split"], self._data_dir, job["cpus"])
        return self._trial

    def end(self) -> None:
        """Drops the trial, with the workers it may have.

        A process that is kept for further trials is told so at once: it would hold on to them.
        """
        trial, self._trial = self._trial, None
        if close := getattr(trial, "close", None):
            close()

    def cleanup(self) -> None:
        """Called when this process is to end."""
        self.end()

    def _summary(self) -> dict[str, Any]:
        return dict(self._trial.summary()) if self._trial is not None else {}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Saves the trial; nothing where it has not started."""
        if self._trial is not None:
            self._trial.save(Path(checkpoint_dir) / "trial.pt")

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Goes on from a saved trial, bit for bit."""
        path = Path(checkpoint_dir) / "trial.pt"
        if path.exists():
            self._start().restore(path)
