"""A mean over training runs and over test images, with the error that each of them brings.

Every run scores the same images. So runs and images are crossed, and

    value(run, image) = mean + run + image + rest.

The error over runs, which every other interval of a report uses, holds for these images. Another
draw of images would move all runs together, which the runs cannot show; the images can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reports.statistics.estimate import Estimate
from reports.statistics.intervals import LEVEL, Floats


@dataclass(frozen=True)
class TwoWay:
    """A mean with two errors.

    Attributes:
        runs: the mean, and its error for other runs on these images.
        images: the further error for other images of the same kind; 0 where the images vary no
            more than the rest explains, NaN below two runs or images.
    """

    runs: Estimate
    images: float

    @property
    def share(self) -> float:
        """Share of the variance for other runs and other images that the images bring, 0 to 1."""
        total = self.runs.error**2 + self.images**2
        return self.images**2 / total if total > 0 else math.nan

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Interval for other runs and other images; NaN without an error over runs.

        The half-width is the root of the sum of the squares of two: Student's over runs, and the
        normal one over images (MOVER, Zou and Donner 2008). It is never narrower than the interval
        over runs. Satterthwaite's interval for the summed variance covers too rarely with two or
        three runs.
        """
        low, high = self.runs.interval(level)
        half = math.hypot((high - low) / 2, float(stats.norm.ppf(0.5 + level / 2)) * self.images)
        return self.runs.value - half, self.runs.value + half


def two_way(values: Floats) -> TwoWay:
    """The mean of ``values``, (runs, images), with its errors.

    Crossed random effects, from mean squares (Searle, Casella and McCulloch 1992, section 4.3): the
    variance of the images' means, less the part that the rest of the noise explains.
    """
    runs, images = values.shape
    mean = float(values.mean())
    if runs < 2 or images < 2:
        return TwoWay(Estimate(mean, math.nan, 0), math.nan)
    of_runs, of_images = values.mean(axis=1), values.mean(axis=0)
    rest = values - of_runs[:, None] - of_images + mean
    rest_variance = float(np.sum(rest**2)) / ((runs - 1) * (images - 1)) / (runs * images)
    images_variance = float(np.var(of_images, ddof=1)) / images
    return TwoWay(
        Estimate(mean, float(np.std(of_runs, ddof=1)) / math.sqrt(runs), runs - 1),
        math.sqrt(max(0.0, images_variance - rest_variance)),
    )
