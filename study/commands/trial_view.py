"""What `mixco trial` shows: a progress bar and a table, or JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from trainables.on_ray.train import TrainTrial
    from trainables.trial import Trial

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
    """Output of one trial; notes and the bar go to standard error, rows to standard output."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.errors = Console(stderr=True)
        self._bar: Progress | None = None
        self._steps = 0

    def note(self, text: str) -> None:
        """A line for the person at the terminal."""
        self.errors.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, trial: Trial | TrainTrial) -> Iterator[None]:
        """Shows the trial's progress while it runs, where a person can see it."""
        if self.as_json:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        total = trial.config.epochs * trial.steps_per_epoch
        self._steps = trial.epoch * trial.steps_per_epoch
        with Progress(*columns, console=self.errors) as self._bar:
            self._task = self._bar.add_task(
                f"epoch {trial.epoch}/{trial.config.epochs}", total=total, figures=""
            )
            self._bar.update(self._task, completed=self._steps)
            self._epochs = trial.config.epochs
            yield

    def step(self, step: int, steps: int) -> None:
        """After each step of training."""
        self._steps += 1
        if self._bar:
            self._bar.update(self._task, completed=self._steps)

    def epoch(self, row: dict[str, Any]) -> None:
        """After each epoch."""
        if self.as_json:
            print(as_json_line(row), flush=True)
        elif self._bar:
            knn = row["knn_accuracy"]
            figures = f"loss {row['loss']:.3f}  {row['images_per_second']:,.0f} images/s"
            self._bar.update(
                self._task,
                description=f"epoch {row['epoch']}/{self._epochs}",
                figures=figures if knn is None else f"{figures}  kNN {knn:.1f} %",
            )

    def result(self, row: dict[str, Any]) -> None:
        """The trial's row."""
        if self.as_json:
            print(as_json_line(row), flush=True)
            return
        table = Table(show_header=False)
        split = row.get("split") or ""
        for name, form in _SHOWN:
            value = row.get(name)
            if value is not None and value == value:
                label = f"{name} ({split})" if name == "accuracy" else name
                table.add_row(label, form.format(value))
        out = Console()
        out.print(row["trial_id"], markup=False, highlight=False, soft_wrap=True)
        out.print(table)


def as_json_line(row: dict[str, Any]) -> str:
    """A row as one line of JSON: missing values are null, times are ISO 8601."""

    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, datetime):
            return value.isoformat()
        return None if isinstance(value, float) and value != value else value

    return json.dumps({name: plain(value) for name, value in row.items()}, default=str)
