"""Which nodes will be taken away: a spot instance's notice, a pod's end, `ray drain-node`.

Ray calls such a node draining. It places nothing new there, lets what runs go on, and after the
deadline counts the node's death as nobody's failure. What was not saved until then is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import ray
from ray._private.state import state

from trainables.checkpoint_clock import CheckpointClock

LOOK_SECONDS = 2.0
"""How often a trial asks whether its node will be taken away, and is saved if so."""


class NoticeClock(CheckpointClock):
    """Says when a checkpoint is due: every ``seconds``, and at each look once a node leaves."""

    def __init__(self, seconds: float, leaves: Callable[[], bool]) -> None:
        """``leaves``: whether the trial will lose its node."""
        super().__init__(seconds)
        self._leaves, self._looked = leaves, time.monotonic()

    def is_due(self) -> bool:
        """Whether to save the trial now."""
        if super().is_due():
            return True
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        return self._leaves()


def leaving_nodes() -> set[str]:
    """Ids of the cluster's nodes that are draining. Ray has no public call for it."""
    return set(state.get_draining_nodes())


def this_node_leaves() -> bool:
    """Whether the node of this process is draining."""
    leaving = leaving_nodes()
    return bool(leaving) and ray.get_runtime_context().get_node_id() in leaving
