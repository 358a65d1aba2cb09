"""Measure how long it takes to look at a study of thousands of trials.

    python -m benchmarks.looking [--trials 2000] [--singles 63 255] [--runs 3]

The program writes rows of trials that nothing trained, and merges them as a running study does.
Then it runs `mixco study status` and `mixco study plan` on them, each in a process of its own: once
as they are, and once for each number of further trials that are not merged yet. A study that runs
has 63 at most. The seconds are the CPU time of the whole process, imports included. Limit: 5 s.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
from pathlib import Path

from benchmarks.machine import MIXCO, conditions, spent_by
from reports.store.tables import Store, open_store
from study import provenance
from study.agenda import Agenda
from study.spec import StudySpec

_IMAGES = 360
"""Of the digits' test split."""


def spec_of(trials: int) -> StudySpec:
    """A study of 16 cells that plans more than ``trials`` trials."""
    return StudySpec(
        name="looking",
        datasets=("digits",),
        methods=("moco", "simclr"),
        widths=(4, 8, 16, 32),
        arms=("none", "mixco"),
        base={"epochs": 20},
        trials=trials // 16 + 1,
        searches=1,
        seeds=5,
        search={"sampler": "random"},
        trackers=(),
    )


def append(store: Store, agenda: Agenda, trials: int) -> None:
    """Records the next ``trials`` trials of the agenda as complete."""
    rng = random.Random(0)
    for _ in range(trials):
        due = agenda.next()
        assert due is not None, "the study has no further trials"
        accuracy = rng.uniform(40, 60)
        row = {
            **due.identity(),
            "study": agenda.spec.name,
            "status": "complete",
            "accuracy": accuracy,
            "parameters": 2728 * due.config.width**2,
            "encoder_flops": 180_000 * due.config.width**2,
            "flops": 1e12,
            "seconds": 60.0,
            "scored_images": _IMAGES,
        }
        epochs = [{"epoch": epoch, "knn_accuracy": accuracy} for epoch in range(1, 21)]
        store.append(row, epochs)
        agenda.record(row)


def look(root: Path, spec: Path, runs: int, name: str) -> None:
    """Prints a line for each command."""
    for command, arguments in (
        ("status", ("study", "status", str(root))),
        ("plan", ("study", "plan", str(spec), "--results", str(root))),
    ):
        found = [spent_by(MIXCO, *arguments).cpu_seconds for _ in range(runs)]
        print(
            f"{command:<8} {name:<28} {runs:>4} {statistics.median(found):>9.2f} "
            f"{min(found):>7.2f} {max(found):>7.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--singles", type=int, nargs="*", default=[63, 255])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{options.trials} trials; {conditions('pyarrow', 'pandas')}, load {os.getloadavg()[0]:.1f}"
    )
    study = spec_of(options.trials + max(options.singles, default=0))
    with tempfile.TemporaryDirectory() as folder:
        root, spec = Path(folder) / "results", Path(folder) / "looking.yaml"
        store, agenda = open_store(root, create=True), Agenda(study)
        provenance.write(store, study)
        spec.write_text(store.read_text("study.yaml") or "")
        print("command  files                        runs  median s   min s   max s")
        append(store, agenda, options.trials)
        store.compact()
        look(root, spec, options.runs, "merged")
        written = 0
        for singles in sorted(options.singles):
            append(store, agenda, singles - written)
            written = singles
            look(root, spec, options.runs, f"merged and {singles} single")


if __name__ == "__main__":
    main()
