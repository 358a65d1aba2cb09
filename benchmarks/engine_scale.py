"""What a study costs besides training: many trials that compute nothing, on simulated slots.

    python -m benchmarks.engine_scale [--trials 10000] [--slots 64] [--seconds 4]

Each trial waits for ``--seconds``, so that all slots are in use. On few cores, dozens of processes
need minutes to start. The first trials therefore wait until all processes have started; trials that
train would also still be running then. The program prints the driver's CPU time and memory after
each twentieth of the trials, then the time to open the finished study again.
Limits: 50 ms of CPU for each trial, and memory that does not grow with the number of trials.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import ray

from benchmarks.machine import MIXCO, conditions, spent_by
from reports.store.tables import Store, open_store
from study.on_ray.driver import run_study
from study.spec import StudySpec
from tests.synthetic_trial import MakeSynthetic
from trainables.config import TrialConfig

CONFIRM_SEEDS = 2
EPOCHS = 2
WAYS_BACK = {
    "run again, nothing missing": "from study.on_ray.driver import run_study\n"
    "from study.spec import load_spec\nfrom reports.store.tables import open_store\n"
    "run_study(load_spec(sys.argv[1] + '/study.yaml'), open_store(sys.argv[1]))",
    "mixco study status": "sys.argv[1:1] = ['study', 'status']\n" + MIXCO,
}


def spec_of(trials: int, slots: int) -> StudySpec:
    """About so many trials, in two cells for each slot: one trial of a cell runs at a time."""
    widths = tuple(range(4, 4 + slots))
    return StudySpec(
        name="scale",
        datasets=("digits",),
        methods=("moco",),
        widths=widths,
        base={"epochs": EPOCHS},
        trials=max(1, trials // (2 * len(widths)) - CONFIRM_SEEDS),
        searches=1,
        seeds=CONFIRM_SEEDS,
    )


@dataclass
class WaitForAll:
    """Called before each epoch: returns once so many processes have called it.

    Args:
        folder: the folder in which each process leaves a file.
        processes: how many processes there are.
    """

    folder: Path
    processes: int
    met: bool = False

    def __call__(self, config: TrialConfig, epoch: int) -> None:
        if not self.met:
            (self.folder / str(os.getpid())).touch()
            while len(list(self.folder.iterdir())) < self.processes:
                time.sleep(0.5)
            self.met = True


class Parts:
    """Prints the driver's cost whenever a twentieth of the trials has been stored."""

    def __init__(self, planned: int) -> None:
        self._planned, self._stored, self._printed = planned, 0, 0
        self._driver = psutil.Process()
        self._append = Store.append
        self._last = (0, *self._now())

    def _now(self) -> tuple[float, float]:
        return sum(self._driver.cpu_times()[:2]), time.perf_counter()

    def append(self, store: Store, *rows: object) -> None:
        """Stands in for `Store.append`."""
        self._append(store, *rows)  # type: ignore[arg-type]
        self._stored += 1
        if self._stored * 20 // self._planned > self._printed:
            stored, cpu, wall = self._last
            self._last = (self._stored, *self._now())
            new = self._last[0] - stored
            memory = self._driver.memory_info().rss / 2**20
            spent, took = self._last[1] - cpu, self._last[2] - wall
            print(_ROW.format(self._stored, 1000 * spent / new, new / took, memory), flush=True)
            self._printed += 1


_ROW = "{:>8} {:>20.1f} {:>12.1f} {:>18.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a trial")
    options = parser.parse_args()

    spec = spec_of(options.trials, options.slots)
    planned = 2 * len(spec.widths) * (spec.trials + CONFIRM_SEEDS)
    print(
        f"{planned} trials of {options.seconds:g} s, {options.slots} slots; "
        f"{conditions('ray', 'optuna', 'pyarrow')}; one run"
    )
    print("  stored    driver CPU, ms a trial  trials a s  driver memory, MiB", flush=True)
    ray.init("local", num_cpus=options.slots, include_dashboard=False, log_to_driver=False)
    parts = Parts(planned)
    Store.append = lambda *rows: parts.append(*rows)  # type: ignore[assignment, method-assign]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        cpu = sum(psutil.Process().cpu_times()[:2])
        meet = Path(folder) / "processes"
        meet.mkdir()
        make = MakeSynthetic(options.seconds / EPOCHS, WaitForAll(meet, options.slots))
        run_study(spec, open_store(results, create=True), make_trial=make)
        cpu = sum(psutil.Process().cpu_times()[:2]) - cpu
        ray.shutdown()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"whole study: driver {1000 * cpu / planned:.1f} ms of CPU a trial, compaction "
            f"included; peak memory {peak:.0f} MiB"
        )
        for name, code in WAYS_BACK.items():
            print(f"{name}: {spent_by(code, str(results))}")


if __name__ == "__main__":
    main()
