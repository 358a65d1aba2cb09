"""Start the processes of a local Ray in process groups of their own.

Ray starts its control store and its scheduler in the process group of the driver. A signal to that
group, as `timeout` and some batch systems send it, would end them before the driver could end its
run in order. `ray.init` has no option for another group. So this module replaces the class with
which Ray 2.60 starts processes while `ray.init` runs. Ray's processes still end with the driver:
the kernel kills them.

Slurm signals every process of a step, whatever its group; then `Interruption` ends the run with a
line. There is one gap that this module cannot close: if Ray's scheduler is gone, and the
driver's parent is gone too or is process 1, Ray's client may end the driver first, with exit code 1
and no line (`ShutdownIfLocalRayletDisconnected` in Ray's C++ code).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import services

_STARTER = "ConsolePopen"


@contextmanager
def own_process_groups() -> Iterator[None]:
    """Within the block, every process that Ray starts leads a process group of its own."""
    starter: Any = getattr(services, _STARTER, None)
    if starter is None:  # another version of Ray: `Interruption` leaves when Ray is gone
        yield
        return
    setattr(services, _STARTER, functools.partial(starter, process_group=0))
    try:
        yield
    finally:
        setattr(services, _STARTER, starter)
