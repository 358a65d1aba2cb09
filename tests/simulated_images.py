"""How often intervals cover a gain on other test images: the table of docs/statistics.md.

python -m tests.simulated_images [DRAWS]
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats

from reports.statistics.intervals import LEVEL

_RUNS = (2, 3, 6, 10)
_RATIOS = (0.0, 0.25, 1.0, 4.0)
"""Variance that images bring, over the variance of the mean over runs."""


def coverages(runs: int, ratio: float, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of intervals that cover, by their kind.

    With thousands of images their variance is known well, so only that of the runs is drawn.
    """
    error = np.abs(rng.normal(0, np.sqrt(1 + ratio), draws))
    over_runs = rng.chisquare(runs - 1, draws) / (runs - 1)
    student = stats.t.ppf(0.5 + LEVEL / 2, runs - 1) * np.sqrt(over_runs)
    both = over_runs + ratio
    freedom = (runs - 1) * (both / over_runs) ** 2
    half = {
        "over runs only": student,
        "Satterthwaite": stats.t.ppf(0.5 + LEVEL / 2, freedom) * np.sqrt(both),
        "MOVER": np.hypot(student, stats.norm.ppf(0.5 + LEVEL / 2) * np.sqrt(ratio)),
    }
    return {name: float(np.mean(error < width)) for name, width in half.items()}


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rng = np.random.default_rng(0)
    print("| interval | images / runs |" + "".join(f" {runs} runs |" for runs in _RUNS))
    print("| --- | --- |" + " --- |" * len(_RUNS))
    for ratio in _RATIOS:
        found = [coverages(runs, ratio, draws, rng) for runs in _RUNS]
        for name in found[0]:
            cells = "".join(f" {100 * of_runs[name]:.1f} |" for of_runs in found)
            print(f"| {name} | {ratio:g} |{cells}")


if __name__ == "__main__":
    main()
