"""Estimate the least memory that a trial needs, and reject trials that cannot fit."""

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
from trainables.methods.module import method_class
from trainables.sizes import shown_size

_FLOAT = 4  # bytes
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def needed(config: TrialConfig, data: Dataset, runtime: Runtime) -> dict[str, int]:
    """Bytes that a step needs at least on this worker's device, by what they hold.

    They are counted from shapes. The needs of libraries (buffers, code, fragments) are left out.
    """
    batch = config.batch_size // world.size()
    method = method_class(config.method)
    with_gradient, _ = flops.passes(config)
    activations = flops.saved_bytes(config, data.image_size, data.channels)
    weights = flops.embedding_parameters(config, data.image_size, data.channels)
    parts = {
        "activations": int(batch * with_gradient * activations / (2 if runtime.bf16 else 1)),
        # Weights, gradients and SGD's momentum, and the method's copies without gradients.
        "weights": _FLOAT * weights * (3 + method.untrained_copies),
    }
    for name, values in method.other_values(config, batch).items():
        parts[name] = _FLOAT * values
    # On a CPU the images are a mapped file, whose pages the system can take back.
    if not runtime.on_cpu:
        parts["images"] = data.train.images.nbytes
    return parts


def capacity(runtime: Runtime) -> int:
    """Bytes of the device; on a CPU those of the machine, or its control group's limit if lower."""
    if not runtime.on_cpu:
        return int(torch.cuda.mem_get_info(runtime.device)[1])
    limits = [psutil.virtual_memory().total]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits)


def check(config: TrialConfig, data: Dataset, runtime: Runtime) -> None:
    """Reject a trial that cannot fit even if nothing else runs.

    Raises:
        InputError: the trial needs more memory than the device has; the message says how much.
    """
    parts, available = needed(config, data, runtime), capacity(runtime)
    if sum(parts.values()) > available:
        raise InputError(
            f"memory: {_describe(parts)}; {_where(runtime)} has {shown_size(available)}{_ADVICE}"
        )


@contextlib.contextmanager
def named(config: TrialConfig, data: Dataset, runtime: Runtime) -> Iterator[None]:
    """Turn a failed allocation into an error that says what the trial needs.

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


_ADVICE = " (less with a smaller batch_size, encoder or image_size)"


def _where(runtime: Runtime) -> str:
    return "this machine" if runtime.on_cpu else str(runtime.device)


def _describe(parts: dict[str, int]) -> str:
    each = ", ".join(f"{name} {shown_size(size)}" for name, size in parts.items())
    return f"the trial needs at least {shown_size(sum(parts.values()))} ({each})"
