"""How an encoder is scored: kNN, linear probes, geometry of its features.

A new probe is a file here and an entry in `PROBES`.
"""

from __future__ import annotations

from trainables.evaluation.base import Probe
from trainables.registry import Registry

_SHIPPED = (
    Probe(
        "linear",
        "L2-penalised logistic regression on cached features; deterministic",
        "trainables.evaluation.linear:score",
    ),
    Probe(
        "linear_sgd",
        "the paper's protocol: SGD on augmented images (Kim et al. 2020)",
        "trainables.evaluation.linear_sgd:score",
    ),
)

PROBES: Registry[Probe] = Registry("probe", {probe.name: probe for probe in _SHIPPED})
