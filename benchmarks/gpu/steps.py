"""Training steps: images/s of both methods, eager and compiled, and of lightly's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

import torch

from benchmarks.gpu.settings import Amount, Row, attempted
from benchmarks.peers import lightly_moco, lightly_simclr
from benchmarks.rounds import Turn
from benchmarks.step import prepare
from trainables.config import TrialConfig
from trainables.device.flops import training_flops
from trainables.device.runtime import Runtime
from trainables.encoders.embedding import Embedding
from trainables.pretraining import Pretraining

PEERS = {"moco": lightly_moco, "simclr": lightly_simclr}


def peak(amount: Amount, device: str) -> float:
    """FLOP/s of a large matrix product, in the precision that trials take here."""
    runtime = Runtime(amount.config(device, amount.widths[0], "moco"))
    kind = torch.bfloat16 if runtime.bf16 else torch.float32
    a, b = torch.randn(2, amount.product, amount.product, device=runtime.device, dtype=kind)
    seconds = min(_timed_product(a, b) for _ in range(10))
    return 2 * amount.product**3 / seconds


def rows(amount: Amount, device: str) -> Iterator[Row]:
    """Rows of every width and method, with MixCo; lightly's are without mixing."""
    best = peak(amount, device)
    yield {"measure": "peak", "case": f"product of {amount.product}", "flops_per_second": best}
    for width in amount.widths:
        for method in PEERS:
            name = f"{method}, width {width}"
            yield attempted(
                "step", f"{name}, eager", partial(_own, amount, device, width, method, best)
            )
            yield _peer(amount, device, width, method)


def compiled_rows(amount: Amount, device: str) -> Iterator[Row]:
    """Rows of MoCo at every width: eager, then compiled as the amount says."""
    best, how = peak(amount, device), ", ".join(value for _, value in amount.compile_options)
    for width in amount.widths:
        for name, compiled in (("eager", False), (f"compiled ({how})", True)):
            take = partial(_own, amount, device, width, "moco", best, compiled)
            yield attempted("compiled", f"moco, width {width}, {name}", take)


def _own(
    amount: Amount, device: str, width: int, method: str, best: float, compiled: bool = False
) -> Row:
    config = amount.config(device, width, method)
    pretraining = prepare(amount.images(), config)
    if compiled:
        _compile(pretraining, dict(amount.compile_options))

    def turn() -> float:
        row = pretraining.advance(_next_step)
        assert row is not None
        return float(row["images_per_second"])

    found = _median(turn, amount.turns)
    return {**found, **_shares(config, amount, found["images_per_second"], best)}


def _peer(amount: Amount, device: str, width: int, method: str) -> Row:
    case = f"{method}, width {width}, lightly, no mixing, {amount.loaders} loaders"
    if find_spec("lightly") is None:
        return {"measure": "step", "case": case, "note": "lightly is not installed here"}

    def take() -> Row:
        turn = PEERS[method](
            amount.images(), width, amount.batch, amount.queue, amount.loaders, device=device
        )
        return _median(turn, amount.turns)

    return attempted("step", case, take)


def _median(turn: Turn, turns: int) -> dict[str, float]:
    turn()  # compiles, fills caches
    rates = [turn() for _ in range(turns)]
    return {
        "images_per_second": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
    }


def _shares(config: TrialConfig, amount: Amount, rate: float, best: float) -> Row:
    flops = training_flops(config, amount.pixels) * rate
    return {"flops_per_second": flops, "share_of_peak": flops / best}


def _compile(pretraining: Pretraining, options: dict[str, str]) -> None:
    for module in pretraining.method.modules():
        if isinstance(module, Embedding):
            module.compile(dynamic=False, **options)


def _next_step(step: int, steps: int) -> None:
    """CUDA graphs may overwrite what the last step left."""
    torch.compiler.cudagraph_mark_step_begin()


def _timed_product(a: torch.Tensor, b: torch.Tensor) -> float:
    _wait(a)
    start = time.perf_counter()
    product = a @ b
    _wait(product)
    return time.perf_counter() - start


def _wait(tensor: torch.Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)
