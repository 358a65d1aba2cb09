"""Rows of ``trials`` for tests of the store.

A whole study is in `tests.complete_study`: it imports Optuna, which takes a second.
"""

from __future__ import annotations

from typing import Any

from reports.store.tables import Store
from trainables.config import TrialConfig


def trial_row(trial_id: str, **columns: Any) -> dict[str, Any]:
    """A complete tune trial; ``columns`` replace its values."""
    config = TrialConfig(dataset="digits", width=4, epochs=3, eval_datasets=("digits",))
    return {
        "trial_id": trial_id,
        "study": "tests",
        "cell": "digits-moco-resnet18-w4-mixco",
        "phase": "tune",
        "number": 0,
        "status": "complete",
        "split": "validation",
        "accuracy": 50.0,
        **config.model_dump(mode="json"),
        **columns,
    }


def fill(store: Store, trials: int = 5, epochs: int = 3) -> None:
    """Append the trials t0, t1, ..., whose accuracies are 50, 51, ... percent."""
    for number in range(trials):
        store.append(
            trial_row(f"t{number}", number=number, accuracy=50.0 + number),
            [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in range(1, epochs + 1)],
            [{"dataset": "digits", "split": "validation", "protocol": "knn", "top1": 40.0}],
        )
