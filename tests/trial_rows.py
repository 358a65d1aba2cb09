"""Rows of ``trials`` for tests of the store: whole ones, as a trial has them."""

from __future__ import annotations

from typing import Any

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
