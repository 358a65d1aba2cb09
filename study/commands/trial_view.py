"""What `mixco trial` shows: a progress bar and a table, or JSON lines."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress
from rich.table import Table

from study.console import bar_columns, console, news_of, say, text_column, whole
from study.doctor.hardware import other_load

if TYPE_CHECKING:
    from trainables.on_ray.train import TrainTrial
    from trainables.trial import Trial

_TELL_SECONDS = 2.0
"""Between two figures within an epoch: reading the loss makes a GPU wait."""

_SHOWN = (
    ("accuracy", "{:.2f} %"),
    ("top5_accuracy", "{:.2f} %"),
    ("knn_accuracy", "{:.2f} %"),
    ("scored_images", "{:,}"),
    ("loss", "{:.4f}"),
    ("alignment", "{:.4f}"),
    ("uniformity", "{:.4f}"),
    ("effective_rank", "{:.1f}"),
    ("parameters", "{:,}"),
    ("flops", "{:.3g}"),
    ("images", "{:,}"),
    ("seconds", "{:.1f}"),
    ("peak_memory", "{:,} bytes"),
    ("hardware", "{}"),
)


class View:
    """Output of one trial. Notes and the bar go to standard error, rows to standard output."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._errors = console(stderr=True)
        self._bar: Progress | None = None
        self._steps = 0
        self._told = 0.0  # when the loss was last shown

    def note(self, text: str) -> None:
        """Print a line for the person at the terminal."""
        self._errors.print(whole(text), soft_wrap=True)

    def work_is_kept_in(self, results: Path) -> None:
        """From here on, a trial goes on although its output cannot be written."""
        news_of(str(results), data=self.as_json)

    @contextlib.contextmanager
    def progress(self, trial: Trial | TrainTrial) -> Iterator[None]:
        """Show a progress bar while the trial runs, unless rows are printed as JSON."""
        if self.as_json:
            yield
            return
        if load := other_load():
            self.note(load)
        columns = (*bar_columns(), text_column("{task.fields[figures]}"))
        total = trial.config.epochs * trial.steps_per_epoch
        self._steps = trial.epoch * trial.steps_per_epoch + trial.steps_done
        with Progress(*columns, console=self._errors) as self._bar:
            self._task = self._bar.add_task(
                f"epoch {trial.epoch}/{trial.config.epochs}", total=total, figures=""
            )
            self._bar.update(self._task, completed=self._steps)
            self._epochs = trial.config.epochs
            self._trial = trial
            self._started, self._told = (time.monotonic(), self._steps), time.monotonic()
            yield

    def step(self, step: int, steps: int) -> None:
        """Move the bar on by a step of training; once in a while with the loss so far."""
        self._steps += 1
        if not self._bar:
            return
        self._bar.update(self._task, completed=self._steps)
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS and step < steps:
            self._told = now
            start, steps_before = self._started
            rate = (self._steps - steps_before) * self._trial.config.batch_size / (now - start)
            loss = self._trial.loss_so_far()
            shown = "" if loss is None else f"loss {loss:.3f}  "
            self._bar.update(self._task, figures=f"{shown}{rate:,.0f} images/s")

    def epoch(self, row: dict[str, Any]) -> None:
        """Show the row of an epoch."""
        if self.as_json:
            say(as_json_line(row))
        elif self._bar:
            knn = row["knn_accuracy"]
            figures = f"loss {row['loss']:.3f}  {row['images_per_second']:,.0f} images/s"
            self._bar.update(
                self._task,
                description=f"epoch {row['epoch']}/{self._epochs}",
                figures=figures if knn is None else f"{figures}  kNN {knn:.1f} %",
            )

    def result(self, row: dict[str, Any]) -> None:
        """Show the row of the finished trial."""
        if self.as_json:
            say(as_json_line(row))
            return
        table = Table(show_header=False)
        split = row.get("split") or ""
        for name, form in _SHOWN:
            value = row.get(name)
            if value is not None and value == value:
                label = f"{name} ({split})" if name == "accuracy" else name
                table.add_row(label, form.format(value))
        say(row["trial_id"])
        console().print(table)


def as_json_line(row: dict[str, Any]) -> str:
    """A row as one line of JSON: missing values are null, times are ISO 8601."""

    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, datetime):
            return value.isoformat()
        return None if isinstance(value, float) and value != value else value

    return json.dumps({name: plain(value) for name, value in row.items()}, default=str)
