"""Measure how long it takes to compact and read a large study's results.

    python -m benchmarks.store_scale [--trials 10000] [--epochs 200] [--runs 3]

The program writes the trials as a study does, a file for each, then compacts and reads them,
each in a process of its own. Limit: 3 s to read 10,000 trials of 200 epochs, in bounded memory.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import conditions
from reports.store.tables import open_store
from trainables.config import TrialConfig

_TIMED = """
import sys, time
from pathlib import Path
from reports.store.tables import open_store
store = open_store(sys.argv[1])
start = time.perf_counter()
{step}
peak = [line.split()[1] for line in Path("/proc/self/status").open() if "VmHWM" in line][0]
print(time.perf_counter() - start, int(peak) / 1024)
"""
_READ = "tables = [store.read(name) for name in ('trials', 'epochs', 'evaluations')]"
_SCORES = "store.read('epochs', ['trial_id', 'epoch', 'knn_accuracy'])"


def write(root: Path, trials: int, epochs: int) -> float:
    """Appends the trials; returns the milliseconds for each."""
    store = open_store(root, create=True)
    noise = random.Random(0).gauss
    config = TrialConfig().model_dump(mode="json")
    start = time.perf_counter()
    for number in range(trials):
        rows = [
            {
                "epoch": epoch,
                "loss": noise(2, 1),
                "contrastive_loss": noise(2, 1),
                "knn_accuracy": noise(50, 9) if epoch % 5 == 0 else None,
                "learning_rate": 0.03 * (1 - epoch / epochs),
                "images": 50_000 * epoch,
                "seconds": noise(9, 1),
                "images_per_second": noise(5_000, 99),
            }
            for epoch in range(1, epochs + 1)
        ]
        name = f"cifar10-moco-resnet18-w{number % 64}-mixco-tune-{number:05d}"
        trial = {
            "trial_id": name,
            "cell": name[: name.index("-tune")],
            "phase": "tune",
            "number": number,
            "status": "complete",
            "accuracy": noise(60, 9),
            **config,
        }
        score = {"dataset": "cifar10", "split": "validation", "protocol": "linear", "top1": 60.0}
        store.append(trial, rows, [score])
    return 1000 * (time.perf_counter() - start) / trials


def timed(root: Path, step: str) -> tuple[float, float]:
    """Seconds and peak memory (MiB) of a step in a new process, imports apart."""
    code = _TIMED.format(step=step)
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], check=True, capture_output=True, text=True
    )
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.trials} trials of {options.epochs} epochs; {conditions('pyarrow', 'pandas')}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "results"
        print(f"append: {write(root, options.trials, options.epochs):.1f} ms a trial")
        print("step                         runs  median s   min s   max s  peak MiB")
        for name, step, runs in (
            ("compact", "store.compact()", 1),
            ("read all three tables", _READ, options.runs),
            ("read kNN accuracy by epoch", _SCORES, options.runs),
        ):
            found = [timed(root, step) for _ in range(runs)]
            seconds = [some for some, _ in found]
            print(
                f"{name:<28} {runs:>4} {statistics.median(seconds):>9.2f} {min(seconds):>7.2f} "
                f"{max(seconds):>7.2f} {max(peak for _, peak in found):>9.0f}"
            )


if __name__ == "__main__":
    main()
