"""Time and memory of `mixco report` on a large study.

    python -m benchmarks.report [TRIALS] [EPOCHS]

The program writes and compacts a synthetic store (10,000 trials of 200 epochs). A second process
then makes the report, with and without exported figures and tables. Limits: 10 s and 1 GB on two
cores.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.machine import MIXCO, conditions, spent_by
from reports.store.schema import EPOCHS
from tests.synthetic_study import Truth, draw_trials, write_store, write_table

TRUTH = Truth(datasets=("a", "b", "c", "d", "e"), widths=(8, 16, 32, 64), seeds=6)


def write(root: Path, trials: int, epochs: int) -> int:
    """Write a store of about so many trials and epochs; returns the number of trials."""
    cells = 2 * len(TRUTH.datasets) * len(TRUTH.methods) * len(TRUTH.widths)
    truth = replace(TRUTH, tune_trials=trials // cells - TRUTH.seeds)
    table = draw_trials(truth, np.random.default_rng(0))
    write_store(root, table)
    ids = pd.Series(table["trial_id"]).repeat(epochs)
    columns = {"trial_id": ids.to_numpy(), "epoch": np.tile(np.arange(1, epochs + 1), len(table))}
    noise = np.random.default_rng(1).normal(size=len(ids))
    arrays = [pa.array(columns.get(field.name, noise), field.type, safe=False) for field in EPOCHS]
    write_table(root, "epochs", pa.Table.from_arrays(arrays, schema=EPOCHS))
    return len(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", nargs="?", type=int, default=10_000)
    parser.add_argument("epochs", nargs="?", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        written = write(root, options.trials, options.epochs)
        print(f"{written} trials of {options.epochs} epochs; {conditions('pandas')}; one run")
        print(f"page: {spent_by(MIXCO, 'report', str(root), '--no-exports')}")
        print(f"page, figures and tables: {spent_by(MIXCO, 'report', str(root))}")


if __name__ == "__main__":
    main()
