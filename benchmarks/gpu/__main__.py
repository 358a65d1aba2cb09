"""Measure what a GPU does with the trials of this project, in under ten minutes.

    python -m benchmarks.gpu [--out gpu.json]
    python -m benchmarks.gpu --device cpu --amount smoke    # does it run? the figures say nothing

It needs torch and the core of this project: neither Ray nor Optuna. Where lightly is not installed,
its rows say so. Images are noise, which takes as long as photographs do.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import memory, steps, together, workers
from benchmarks.gpu.settings import AMOUNTS, Amount, Measure, Row
from trainables.device.runtime import Runtime

MEASURES: dict[str, Measure] = {
    "memory": memory.rows,
    "steps": steps.rows,
    "compiled": steps.compiled_rows,
    "together": together.rows,
    "workers": workers.rows,
}


def measured(amount: Amount, device: str, names: list[str], minutes: float) -> Iterator[Row]:
    """Rows of the named measures; what would begin after ``minutes`` is left out and named."""
    end = time.monotonic() + 60 * minutes
    for name in names:
        if time.monotonic() > end:
            yield {"measure": name, "case": "all", "note": f"left out after {minutes:g} minutes"}
            continue
        for row in MEASURES[name](amount, device):
            yield row
            if time.monotonic() > end:
                yield {"measure": name, "case": "the rest", "note": f"{minutes:g} minutes are over"}
                break


def line(row: Row) -> str:
    """A row as text."""
    figures = [
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value:,}"
        for name, value in row.items()
        if name not in ("measure", "case", "note")
    ]
    return f"{row['measure']:9} {row['case']}: " + (row.get("note") or ", ".join(figures))


def machine(amount: Amount, device: str) -> dict[str, Any]:
    """Where the figures come from."""
    runtime = Runtime(amount.config(device, amount.widths[0], "moco"))
    return {
        "hardware": runtime.hardware(),
        "devices": 1 if runtime.on_cpu else torch.cuda.device_count(),
        "device_memory": runtime.device_memory(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def main() -> None:
    """Print a line for each row as it comes, and write all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:0, ... or cpu")
    parser.add_argument("--amount", choices=AMOUNTS, default="full")
    parser.add_argument("--measure", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--minutes", type=float, default=9, help="begin nothing after them")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()

    amount = AMOUNTS[options.amount]
    found: dict[str, Any] = {"amount": options.amount, "machine": machine(amount, options.device)}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()), flush=True)
    start, found["rows"] = time.perf_counter(), []
    for row in measured(amount, options.device, options.measure, options.minutes):
        print(line(row), flush=True)
        found["rows"].append(row)
        found["seconds"] = time.perf_counter() - start
        if options.out:  # after each row: a session on a GPU may be cut
            options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
