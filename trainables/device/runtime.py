"""Device, precision and compilation, resolved from a config, and settings of the process."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import resource
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import nn

from trainables.config import Compile, Precision, TrialConfig
from trainables.device import world
from trainables.encoders import ENCODERS
from trainables.errors import InputError
from trainables.native import batch_norm

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
_CLEAR_REFS = Path("/proc/self/clear_refs")
_KEPT = 1 << 30  # bytes of freed memory that the process may keep


class Runtime:
    """Where and how a trial computes.

    Args:
        config: its ``device``, ``precision`` and ``compile``. ``compile: auto`` is off: on a CPU
            the fused batch norm gains more and needs the same compiler (docs/speed.md). On a GPU
            the gain has not been measured.

    Raises:
        InputError: the device is missing, or cannot compute as the config asks.
    """

    def __init__(self, config: TrialConfig) -> None:
        has_cuda = torch.cuda.is_available()
        name = config.device if config.device != "auto" else ("cuda" if has_cuda else "cpu")
        if name.startswith("cuda"):
            if not has_cuda:
                raise InputError(f"device: {name} is not available here (allowed: auto, cpu)")
            if ":" in name and world.size() > 1:
                raise InputError(
                    f"device: {name} is one device for {world.size()} workers "
                    "(allowed: auto, cpu, cuda)"
                )
            index = int(name.partition(":")[2] or torch.cuda.current_device())
            if index >= torch.cuda.device_count():
                raise InputError(
                    f"device: {name} does not exist (allowed: cuda:0 to "
                    f"cuda:{torch.cuda.device_count() - 1})"
                )
            name = f"cuda:{index}"
        self.device = torch.device(name)
        self.on_cpu = self.device.type == "cpu"
        fast = _cpu_has_bf16() if self.on_cpu else torch.cuda.is_bf16_supported()
        self.bf16 = _uses_bf16(config.precision, fast)
        # Collectives inside compiled code are not tested.
        self.compiled = _compiles(config.compile)
        if self.compiled and world.size() > 1:
            raise InputError(
                f"compile: on is for one worker, not {world.size()} (allowed: auto, off)"
            )
        # Below eight channels oneDNN's strided 1x1 convolution writes beyond its buffer in this
        # layout (torch 2.15 on AVX2: a ResNet's first shortcut at width 4 corrupts the heap).
        family = ENCODERS.find(config.encoder)
        last = not self.on_cpu or not family.has_widths or config.width >= 8
        self.memory_format = torch.channels_last if last else torch.contiguous_format
        self.fused = False  # whether the C++ batch norm is used
        if self.on_cpu:
            keep_freed_memory()
            own_norms = world.size() == 1 or not config.sync_batch_norm
            if last and not self.compiled and own_norms and family.fuses_batch_norm:
                self.fused = batch_norm.is_available()
            with contextlib.suppress(OSError):
                _CLEAR_REFS.write_text("5")  # Linux: reset the peak memory of the process
        else:  # an earlier trial of this process may have set a higher peak
            torch.cuda.reset_peak_memory_stats(self.device)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """bf16 for matrix products and convolutions where the runtime uses it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def compile_(self, module: nn.Module) -> None:
        """Compile calls of the module, in place, if the config says so.

        The module must not hold a hyperparameter. Its value would be part of the compiled code,
        and trials with another value could not take that code from the cache.
        """
        if self.compiled:
            # torch's compiler would choose channels-last for itself where it is not safe.
            keep = self.memory_format is not torch.channels_last
            module.compile(dynamic=False, options={"layout_optimization": False} if keep else None)

    def peak_memory(self) -> int:
        """Peak bytes since this trial began: of the device on a GPU, of the process on a CPU."""
        return _process_peak() if self.on_cpu else torch.cuda.max_memory_allocated(self.device)

    def device_memory(self) -> int | None:
        """Bytes of the GPU's memory; None on a CPU."""
        if self.on_cpu:
            return None
        return int(torch.cuda.get_device_properties(self.device).total_memory)

    def hardware(self) -> str:
        """The device and how the trial uses it, in words."""
        use = ["bf16" if self.bf16 else "fp32"] + ["compiled"] * self.compiled
        use += ["fused batch norm"] * self.fused
        if self.on_cpu:
            threads = torch.get_num_threads()
            return f"{cpu_name()}, {threads} thread{'s' * (threads > 1)}, {', '.join(use)}"
        return f"{torch.cuda.get_device_name(self.device)}, {', '.join(use)}"


def _uses_bf16(precision: Precision, fast: bool) -> bool:
    match precision:
        case "auto":
            return fast
        case "bf16":
            return True
        case "fp32":
            return False
        case _:
            assert_never(precision)


def _compiles(choice: Compile) -> bool:
    match choice:
        case "auto" | "off":
            return False
        case "on":
            return True
        case _:
            assert_never(choice)


def _process_peak() -> int:
    # Linux: getrusage includes the process that started this one, and is never reset.
    with contextlib.suppress(OSError), Path("/proc/self/status").open() as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@functools.cache
def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step.

    By default glibc returns each large block to the kernel, and every step pays for new pages.
    Other C libraries have no such settings and are left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_TOP_PAD, 64 << 20)


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware. Emulated products are slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@functools.cache
def cpu_name() -> str:
    """The processor's model, or its architecture where the kernel does not say the model."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
