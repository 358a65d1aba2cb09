"""How the threads of a trial wait for each other. To be set before torch is imported."""

from __future__ import annotations

import os

VARIABLE = "OMP_WAIT_POLICY"


def wait_without_spinning() -> None:
    """Let threads that wait at a barrier sleep, unless the environment says how they wait.

    By default they spin. Where another program has one of the cores, the thread on that core is
    late at every barrier, and the others spin until it comes: the spinning takes the cores that
    the late thread needs (docs/speed.md). Processes that are started from here inherit this.
    """
    os.environ.setdefault(VARIABLE, "PASSIVE")
