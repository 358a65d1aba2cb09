"""What the study engine costs besides training: many trials of a formula, on simulated slots.

    python -m benchmarks.engine_scale [--trials 10000] [--slots 64]

Prints the driver's CPU seconds for each trial, and its memory after each quarter of the trials.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import ray

from study.runner import run_study
from study.spec import StudySpec
from study.store import Store, open_store
from tests.synthetic_trial import MakeSynthetic

CONFIRM_SEEDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=64)
    options = parser.parse_args()

    widths = tuple(range(4, 4 + max(1, options.slots // 2)))
    spec = StudySpec(
        name="scale",
        datasets=("digits",),
        methods=("moco",),
        widths=widths,
        base={"epochs": 2},
        trials=max(1, options.trials // (2 * len(widths)) - CONFIRM_SEEDS),
        seeds=CONFIRM_SEEDS,
    )
    planned = 2 * len(widths) * (spec.trials + CONFIRM_SEEDS)
    driver = psutil.Process()
    memory: list[float] = []
    append = Store.append

    def counted(store: Store, *rows: object) -> None:
        append(store, *rows)  # type: ignore[arg-type]
        counted.done += 1  # type: ignore[attr-defined]
        if counted.done % max(1, planned // 4) == 0:  # type: ignore[attr-defined]
            memory.append(driver.memory_info().rss / 2**20)

    counted.done = 0  # type: ignore[attr-defined]
    Store.append = counted  # type: ignore[method-assign, assignment]
    ray.init(num_cpus=options.slots, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "results", create=True)
        cpu, wall = sum(driver.cpu_times()[:2]), time.perf_counter()
        run_study(spec, store, make_trial=MakeSynthetic())
        cpu, wall = sum(driver.cpu_times()[:2]) - cpu, time.perf_counter() - wall
    ray.shutdown()
    print(
        f"{planned} trials on {options.slots} slots: driver {1000 * cpu / planned:.1f} ms of CPU a "
        f"trial, {wall:.0f} s in all; memory after each quarter, MiB: "
        + ", ".join(f"{value:.0f}" for value in memory)
    )


if __name__ == "__main__":
    main()
