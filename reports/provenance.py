"""Where the numbers come from: data, seeds, compute, versions and hardware."""

from __future__ import annotations

import pandas as pd

from reports.store.schema import CONFIRM


def provenance(trials: pd.DataFrame) -> list[tuple[str, str]]:
    """Headings with their texts, from the columns of the trials table; empty texts are left out."""
    confirm = trials[trials["phase"] == CONFIRM]
    seeds = sorted(confirm["seed"].dropna().astype(int).unique())
    facts = [
        ("trials", f"{len(trials):,} ({_counts(trials['phase'])}; {_counts(trials['status'])})"),
        ("seeds confirmed", ", ".join(map(str, seeds)) or "none yet"),
        ("training FLOPs", f"{trials['flops'].sum():.3g}"),
        ("time", _time(trials)),
        ("hardware", _values(trials["hardware"])),
        (
            "versions",
            f"mixco-study {_values(trials['version'])}, torch {_values(trials['torch_version'])}",
        ),
        ("revision", _values(trials["git_revision"])),
        ("probe", _values(trials["probe"])),
        ("first and last trial", _period(trials)),
    ]
    for dataset, rows in trials.groupby("dataset"):
        facts.append((f"data: {dataset}", _data(rows)))
    return [(name, text) for name, text in facts if text]


def _time(trials: pd.DataFrame) -> str:
    hours = {
        "hours of trials": trials["seconds"].sum() / 3600,
        "GPU-hours": trials["gpu_hours"].sum(),
        "CPU-hours": trials["cpu_hours"].sum(),
    }
    return ", ".join(f"{spent:.2f} {unit}" for unit, spent in hours.items() if spent)


def _counts(column: pd.Series) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in column.value_counts().items())


def _values(column: pd.Series) -> str:
    return ", ".join(sorted({str(value) for value in column.dropna()}))


def _period(trials: pd.DataFrame) -> str:
    started, finished = trials["started_at"].min(), trials["finished_at"].max()
    if pd.isna(started) or pd.isna(finished):
        return ""
    return f"{started:%Y-%m-%d %H:%M} to {finished:%Y-%m-%d %H:%M} UTC"


def _data(rows: pd.DataFrame) -> str:
    parts = []
    for split, scored in rows.groupby("split"):
        images = scored["scored_images"].dropna()
        if len(images):
            parts.append(f"{int(images.iloc[0]):,} {split} images")
    train = rows["train_images"].dropna()
    if len(train):
        parts.insert(0, f"{int(train.iloc[0]):,} training images")
    fingerprint = _values(rows["data_fingerprint"])
    return ", ".join(parts + ([f"fingerprint {fingerprint}"] if fingerprint else []))
