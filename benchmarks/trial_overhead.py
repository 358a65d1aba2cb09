"""The time that a study adds to a trial, compared with the same training in a plain loop.

    python -m benchmarks.trial_overhead [--trials 8] [--rounds 3]

One worker trains a small encoder on the digits. In a study, the time of a trial runs from the end
of the trial before to its own end: suggestion, start in the reused process, training, evaluation
and storing. Limit: 1 s more than in the plain loop, from the second trial of a process on.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import ray

from benchmarks.machine import conditions
from reports.store.configs import config_of
from reports.store.tables import open_store
from study.on_ray.driver import run_study
from study.spec import StudySpec
from trainables.config import TrialConfig

_BARE = """
import json, sys, time
from trainables.config import TrialConfig
from trainables.on_ray.steps import local_trial
for line in sys.stdin:
    config = TrialConfig.model_validate(json.loads(line))
    start = time.perf_counter()
    trial = local_trial(config, "validation", None, 1)
    while not trial.done:
        trial.advance()
    trial.finish()
    print(time.perf_counter() - start)
"""


def spec_of(trials: int) -> StudySpec:
    """One cell: its trials follow one another."""
    return StudySpec(
        name="overhead",
        datasets=("digits",),
        methods=("moco",),
        arms=("mixco",),
        widths=(8,),
        base={"epochs": 4, "batch_size": 128, "compile": "off"},
        trials=trials,
        searches=1,
        seeds=1,
    )


def in_study(trials: int, root: Path) -> tuple[list[float], list[TrialConfig]]:
    """Seconds of each tune trial after the first, and the configurations of all, in order."""
    store = open_store(root, create=True)
    run_study(spec_of(trials), store)
    rows = store.read("trials")
    rows = rows[rows["phase"] == "tune"].sort_values("number")
    ends = rows["finished_at"].diff().dt.total_seconds()
    configs = [config_of({str(k): v for k, v in row.items()}) for _, row in rows.iterrows()]
    return ends.iloc[1:].tolist(), configs


def bare(configs: list[TrialConfig]) -> list[float]:
    """Seconds of each trial after the first, in one process."""
    lines = "\n".join(config.model_dump_json() for config in configs)
    done = subprocess.run(
        [sys.executable, "-c", _BARE],
        input=lines,
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(line) for line in done.stdout.split()][1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{options.rounds} rounds of {options.trials} trials; "
        f"{conditions('torch', 'ray', 'optuna')}, one worker"
    )
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    found: dict[str, list[float]] = {"bare": [], "in a study": [], "overhead": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            studied, configs = in_study(options.trials, Path(folder) / "results")
        plain = bare(configs)
        found["in a study"] += studied
        found["bare"] += plain
        found["overhead"] += [one - other for one, other in zip(studied, plain, strict=True)]
    ray.shutdown()
    print("seconds of a trial after the first    trials  median     min     max")
    for name, seconds in found.items():
        print(
            f"{name:<37} {len(seconds):>6} {statistics.median(seconds):>7.2f} "
            f"{min(seconds):>7.2f} {max(seconds):>7.2f}"
        )
    ratio = statistics.median(found["in a study"]) / statistics.median(found["bare"])
    print(f"in a study / bare: {ratio:.2f}")


if __name__ == "__main__":
    main()
