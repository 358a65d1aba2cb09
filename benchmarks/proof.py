"""Show that training works: compare trained encoders with untrained ones; draw learning curves.

    python -m benchmarks.proof RESULTS ... --out docs/proof.svg

RESULTS are folders in which `mixco trial` recorded trials. The curve is the kNN accuracy
on validation images after each epoch; epoch 0 is the encoder with its initial weights. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import torch

from reports.store.configs import config_of
from reports.store.schema import COMPLETE
from reports.store.tables import open_store
from trainables.trial import Trial

HEADINGS = (
    "| run | kNN, untrained | kNN | linear, untrained | linear | epochs | minutes | images/s |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def untrained(row: dict[str, Any], split: str, data_dir: Path | None) -> dict[str, float]:
    """Accuracies by protocol of the trial's encoder before its first step."""
    trial = Trial(config_of(row), split=split, data_dir=data_dir)  # type: ignore[arg-type]
    return {found["protocol"]: found["top1"] for found in trial.finish().evaluations}


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help=".svg or .png")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    stores = [open_store(results) for results in options.results]
    trials, epochs, evaluations = (
        pd.concat([store.read(table) for store in stores])
        for table in ("trials", "epochs", "evaluations")
    )
    curves = []
    print(HEADINGS)
    for row in trials[trials["status"] == COMPLETE].to_dict("records"):
        name = f"{row['method']}, {row['arm']}"
        own = epochs[epochs["trial_id"] == row["trial_id"]].sort_values("epoch")
        first = untrained(row, "validation", options.data_dir)["knn"]
        curve = {"epoch": [0, *own["epoch"]], "accuracy": [first, *own["knn_accuracy"]]}
        curves.append(pd.DataFrame(curve).assign(run=name))
        before = untrained(row, "test", options.data_dir)
        scored = evaluations[evaluations["trial_id"] == row["trial_id"]]
        after = scored.set_index("protocol")["top1"]
        print(
            f"| {name} | {before['knn']:.1f} | {after['knn']:.1f} | {before['linear']:.1f} | "
            f"{after['linear']:.1f} | {row['epochs_done']} | {row['seconds'] / 60:.0f} | "
            f"{own['images_per_second'].median():.0f} |"
        )
    chart = alt.Chart(pd.concat(curves)).mark_line(point=True)
    chart.encode(
        x=alt.X("epoch:Q", title="epoch (0: untrained)"),
        y=alt.Y("accuracy:Q", title="kNN accuracy, validation images (%)").scale(zero=False),
        color=alt.Color("run:N", title=None),
    ).properties(width=480, height=280).save(options.out)


if __name__ == "__main__":
    main()
