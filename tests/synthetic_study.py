"""Synthetic results with known truth. Nothing here was trained: every accuracy is drawn.

The truth on one line (dataset, method, encoder), with x = log2(parameters / the smallest):

    accuracy(none)  = ceiling - (ceiling - floor) * 2^(-rate x)
    accuracy(mixco) = accuracy(none) + gain + slope * x

plus noise that a seed shares between arms (it cancels in a pair), noise of its own for each trial,
and luck of each search of a cell, which its seeds share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from reports.store import parquet
from reports.store.schema import REQUIRED_CONFIG, TRIALS
from trainables.config import TrialConfig


@dataclass(frozen=True)
class Truth:
    """What a synthetic study is drawn from; accuracies in percent, slopes in points a doubling."""

    datasets: Sequence[str] = ("digits",)
    methods: Sequence[str] = ("moco", "simclr")
    encoder: str = "resnet18"
    widths: Sequence[int] = (4, 8, 16, 32)
    searches: int = 1
    seeds: int = 6
    gain: float = 3.0
    slope: float = -0.4
    ceiling: float = 92.0
    floor: float = 60.0
    rate: float = 0.35
    shared_noise: float = 1.0
    noise: float = 0.3
    luck: float = 0.0
    tune_trials: int = 0
    epochs: int = 4
    study: str = "synthetic"

    def parameters(self, width: int) -> int:
        """Parameters of a ResNet-18 grow with the square of its width."""
        return 2728 * width * width

    def baseline(self, doublings: float) -> float:
        """Accuracy without mixing, so many doublings above the smallest encoder."""
        return self.ceiling - (self.ceiling - self.floor) * 2 ** (-self.rate * doublings)


def draw_trials(truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    """A trials table: confirm rows for every seed, and tune rows where the truth asks for them."""
    rows = []
    for search in range(truth.searches):
        for dataset in truth.datasets:
            for method in truth.methods:
                for width in truth.widths:
                    rows += _width(truth, rng, search, dataset, method, width)
    columns = {
        field.name: pd.Series([row.get(field.name) for row in rows], dtype=object)
        for field in TRIALS
    }
    table = pa.table(
        {
            field.name: pa.array(
                [None if v is None else v for v in columns[field.name]], type=field.type
            )
            for field in TRIALS
        },
        schema=TRIALS,
    )
    return table.to_pandas()


def _width(
    truth: Truth, rng: np.random.Generator, search: int, dataset: str, method: str, width: int
) -> list[dict[str, object]]:
    """The rows of both arms in one search; a seed's shared noise is the same for both."""
    doublings = float(np.log2(truth.parameters(width) / truth.parameters(min(truth.widths))))
    shared = rng.normal(0, truth.shared_noise, truth.seeds)
    rows: list[dict[str, object]] = []
    for arm in ("none", "mixco"):
        mean = truth.baseline(doublings)
        if arm == "mixco":
            mean += truth.gain + truth.slope * doublings
        mean += rng.normal(0, truth.luck)
        base = _base(truth, search, dataset, method, width, arm)
        name = f"{base['cell']}-r{search}" if search else str(base["cell"])
        tuned = _tune_rows(truth, rng, base, name, mean)
        rows += tuned + _confirm_rows(truth, rng, base | _chosen(tuned), name, mean + shared)
    return rows


def _base(
    truth: Truth, search: int, dataset: str, method: str, width: int, arm: str
) -> dict[str, object]:
    """The columns that all trials of one search of a cell share."""
    multiple = {"none": 1.0, "mixco": 1.375 if method == "moco" else 1.5}[arm]
    return {
        "study": truth.study,
        "cell": f"{dataset}-{method}-{truth.encoder}-w{width}-{arm}",
        "search": search,
        "status": "complete",
        "dataset": dataset,
        "method": method,
        "arm": arm,
        "encoder": truth.encoder,
        "width": width,
        "epochs": truth.epochs,
        "epochs_done": truth.epochs,
        "batch_size": 64,
        "parameters": truth.parameters(width),
        "encoder_flops": truth.parameters(width) * 64,
        "flops": truth.parameters(width) * 64 * 3e4 * truth.epochs * multiple,
        "seconds": 10.0 * multiple,
        "gpu_hours": 0.0,
        "cpu_hours": 10.0 * multiple / 3600,
        "scored_images": 10_000,
        "classes": 10,
        "hardware": "synthetic",
        "version": "0.1.0",
        "torch_version": "0",
    }


def _tune_rows(
    truth: Truth, rng: np.random.Generator, base: dict[str, object], name: str, mean: float
) -> list[dict[str, object]]:
    rows = []
    scores = mean - 2 - rng.exponential(3, truth.tune_trials)
    for number, score in enumerate(scores):
        status = rng.choice(["complete", "pruned", "diverged", "failed"], p=[0.8, 0.1, 0.05, 0.05])
        status = "complete" if number == 0 else str(status)
        rows.append(
            base
            | {
                "trial_id": f"{name}-tune-{number}",
                "phase": "tune",
                "number": number,
                "status": status,
                "seed": 0,
                "split": "validation",
                "accuracy": float(score) if status in ("complete", "pruned") else None,
                "error": "CUDA out of memory" if status == "failed" else None,
                **_hyperparameters(rng, str(base["arm"])),
            }
        )
    return rows


def _chosen(tuned: list[dict[str, object]]) -> dict[str, object]:
    """The id and the hyperparameters of the best complete tune trial; empty without one."""
    complete = [row for row in tuned if row["status"] == "complete"]
    if not complete:
        return {}
    best = max(complete, key=lambda row: (row["accuracy"], -int(str(row["number"]))))
    names = ("learning_rate", "temperature", "mix_weight", "mix_temperature")
    return {"tuned_from": best["trial_id"], **{name: best.get(name) for name in names}}


def _confirm_rows(
    truth: Truth,
    rng: np.random.Generator,
    base: dict[str, object],
    name: str,
    means: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> list[dict[str, object]]:
    """One row for each seed, whose accuracy is drawn around its own mean of ``means``."""
    first = 1000 * (int(str(base["search"])) + 1)
    return [
        base
        | {
            "trial_id": f"{name}-confirm-{seed}",
            "phase": "confirm",
            "seed": first + seed,
            "split": "test",
            "accuracy": float(mean + rng.normal(0, truth.noise)),
        }
        for seed, mean in enumerate(means)
    ]


def _hyperparameters(rng: np.random.Generator, arm: str) -> dict[str, float]:
    drawn = {
        "learning_rate": float(10 ** rng.uniform(-2.5, -0.5)),
        "temperature": float(10 ** rng.uniform(-1.3, 0)),
    }
    if arm == "mixco":
        drawn["mix_weight"] = float(10 ** rng.uniform(-1, 0.7))
        drawn["mix_temperature"] = float(10 ** rng.uniform(-1.7, 0))
    return drawn


def write_store(root: Path, trials: pd.DataFrame) -> Path:
    """Write a trials table as a results folder; a field without a value has its default."""
    defaults = TrialConfig().model_dump(mode="json")
    filled = {
        name: [defaults[name] if _is_missing(value) else value for value in trials[name]]
        if name in trials
        else [defaults[name]] * len(trials)
        for name in REQUIRED_CONFIG
    }
    whole = trials.assign(**filled)
    table = pa.Table.from_pandas(whole, schema=TRIALS, preserve_index=False)
    write_table(root, "trials", table)
    return root


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def write_table(root: Path, name: str, rows: pa.Table) -> None:
    """Write one table of a results folder as one file."""
    (root / name).mkdir(parents=True, exist_ok=True)
    with (root / name / "00-compacted-0123456789abcdef.parquet").open("wb+") as file:
        parquet.write(name, [rows], file)
