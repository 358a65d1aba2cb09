"""Which trackers a study may name. A new tracker is an entry here and a file in on_ray/trackers.

A spec is checked against these names. What a tracker does needs Ray, and is loaded for a run.
"""

from __future__ import annotations

from trainables.registry import Registry

TRACKERS: Registry[str] = Registry(
    "trackers",
    {
        "tensorboard": "study.on_ray.trackers.tensorboard:TensorBoard",
        "wandb": "study.on_ray.trackers.wandb:Wandb",
        "mlflow": "study.on_ray.trackers.mlflow:Mlflow",
    },
)
"""``package.module:Class`` of each tracker, a `study.on_ray.trackers.base.Tracker`."""
