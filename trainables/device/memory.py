"""What a trial needs of its device's memory at least: who cannot fit learns by how much."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.device import flops, world
from trainables.device.runtime import Runtime
from trainables.errors import InputError

_FLOAT = 4  # bytes
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def needed(config: TrialConfig, data: Dataset, runtime: Runtime) -> dict[str, int]:
    """Bytes on this worker's device that a step cannot do without, by what they hold.

    Counted from shapes; what libraries need besides (buffers, code, fragments) is not in it.
    """
    batch = config.batch_size // world.size()
    with_gradient, _ = flops.passes(config)
    activations = flops.saved_bytes(config, data.image_size, data.channels)
    weights = flops.embedding_parameters(config, data.channels)
    parts = {
        "activations": int(batch * with_gradient * activations / (2 if runtime.bf16 else 1)),
        # Weights, gradients and SGD's momentum, and MoCo's key encoder.
        "weights": _FLOAT * weights * (4 if config.method == "moco" else 3),
    }
    if config.method == "moco":
        logits = batch * (1 + config.queue_size)
        parts["queue and logits"] = _FLOAT * (
            config.queue_size * config.projection_dim + 2 * logits
        )
    if not runtime.on_cpu:  # there it is a mapped file, whose pages the system can take back
        parts["images"] = data.train.images.nbytes
    return parts


def capacity(runtime: Runtime) -> int:
    """Bytes of the device, or of this machine as far as its control group may use it."""
    if not runtime.on_cpu:
        return int(torch.cuda.mem_get_info(runtime.device)[1])
    limits = [psutil.virtual_memory().total]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits)


def check(config: TrialConfig, data: Dataset, runtime: Runtime) -> None:
    """Refuse a trial that cannot fit, whatever else runs.

    Raises:
        InputError: it needs more than there is; says how much of what.
    """
    parts, there = needed(config, data, runtime), capacity(runtime)
    if sum(parts.values()) > there:
        raise InputError(
            f"memory: {_describe(parts)}; {_where(runtime)} has {_gib(there)}{_ADVICE}"
        )


@contextlib.contextmanager
def named(config: TrialConfig, data: Dataset, runtime: Runtime) -> Iterator[None]:
    """Turn an allocator's failure into an error that says what the trial needs.

    Raises:
        InputError: memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # The CPU allocator's failure has no type of its own.
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        parts = _describe(needed(config, data, runtime))
        raise InputError(f"memory: ran out on {_where(runtime)}; {parts}{_ADVICE}") from error


_ADVICE = " (less with a smaller batch_size, width or image_size)"


def _where(runtime: Runtime) -> str:
    return "this machine" if runtime.on_cpu else str(runtime.device)


def _describe(parts: dict[str, int]) -> str:
    each = ", ".join(f"{name} {_gib(size)}" for name, size in parts.items())
    return f"the trial needs at least {_gib(sum(parts.values()))} ({each})"


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB"
