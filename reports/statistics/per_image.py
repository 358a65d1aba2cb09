"""Gains image by image: what other test images would change, and which classes gain.

Confirm trials record which test images were right. Older trials did not; they are left out here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics.capacity import SIZE, kind_of
from reports.statistics.gain import PAIR, WIDTH
from reports.statistics.intervals import ALPHA, Floats
from reports.statistics.lines import contrast
from reports.statistics.selection import BASELINE, LINE_ARM, Selection
from reports.statistics.two_way import TwoWay, two_way
from reports.statistics.units import UNIT, with_unit

_ERRORS = ["error_runs", "error_images", "images_share", "runs_low", "runs_high", "low", "high"]
GAINS = [*WIDTH, "parameters", "runs", "images", "gain", *_ERRORS]
SLOPES = [*LINE_ARM, "widths", "runs", "images", "slope", *_ERRORS]
CLASSES = [
    *LINE_ARM, "kind", "class", "runs", "images", "gain", *_ERRORS, "family_low", "family_high",
    "overall",
]  # fmt: skip
"""Columns of the three tables; `per_image` describes them."""


class Scored(NamedTuple):
    """Which images one trial classified right."""

    images: Hashable
    """What names the images: two trials are compared only where this is equal."""
    class_images: NDArray[np.int64]  # (classes,)
    right: NDArray[np.bool_]  # (images,), ordered by class


@dataclass(frozen=True)
class PerImage:
    """What the images show; the frames are empty where no pair has them.

    Attributes:
        gains: by line, arm and width.
        slopes: by line and arm.
        classes: by line, arm and class.
        pairs: pairs whose two trials recorded the images.
        all_pairs: all pairs.
    """

    gains: pd.DataFrame
    slopes: pd.DataFrame
    classes: pd.DataFrame
    pairs: int
    all_pairs: int


def per_image(selection: Selection, pairs: pd.DataFrame, evaluations: pd.DataFrame) -> PerImage:
    """Gains and slopes with errors for other test images, and the gain of each class.

    A run is a unit (`units`): a pair of trials with one seed, or the mean of a search's pairs.

    Args:
        selection: the confirm rows that count.
        pairs: `gain.pairs` of it.
        evaluations: the evaluations table, each evaluation once, with ``right`` and
            ``class_images``.

    Returns:
        Columns that the tables share: ``runs`` and ``images`` (numbers); ``gain`` (points) or
        ``slope`` (points per doubling of the parameters); ``error_runs`` (standard error over runs,
        for these images) and ``error_images`` (the further error of other images);
        ``images_share`` (of the variance, 0 to 1); ``runs_low`` and ``runs_high`` (95 % for these
        images), ``low`` and ``high`` (95 % for other images, `two_way.TwoWay.interval`). Slopes and
        classes rest on the runs that have every width. A class's ``gain`` is the mean over widths,
        ``family_low`` and ``family_high`` are ``low`` and ``high`` at a level that holds for all
        classes of the line at once (Bonferroni), and ``overall`` is the gain over all classes.
    """
    scored = _scored(selection.confirm, evaluations)
    differences = _differences(selection.confirm, with_unit(pairs), scored)
    gains, slopes, classes = [], [], []
    for key, line in differences.groupby(LINE_ARM, sort=True):
        names = dict(zip(LINE_ARM, key, strict=True))
        common = Counter(line["images"]).most_common(1)[0][0]
        line = line[[images == common for images in line["images"]]]
        widths = [width for _, width in line.groupby(["capacity", *SIZE], sort=True)]
        gains += [names | _encoder(width) | _row("gain", _by_run(width)) for width in widths]
        capacities = np.array([float(width["capacity"].iloc[0]) for width in widths])
        cube = _complete(widths)
        if cube.shape[1] == 0:
            continue
        class_images = scored[line["trial_id"].iloc[0]].class_images
        kind = kind_of(line["size"])
        rows = _class_rows(cube.mean(axis=0), class_images)
        classes += [names | {"kind": kind} | row for row in rows]
        if len(capacities) > 1:
            slope = np.tensordot(contrast(capacities), cube, axes=1)
            slopes.append(names | {"widths": len(capacities)} | _row("slope", slope))
    return PerImage(
        pd.DataFrame(gains, columns=GAINS),
        pd.DataFrame(slopes, columns=SLOPES),
        pd.DataFrame(classes, columns=CLASSES),
        len(differences),
        len(pairs),
    )


def _encoder(rows: pd.DataFrame) -> dict[str, object]:
    first = rows.iloc[0]
    return {name: first[name] for name in SIZE} | {"parameters": int(first["parameters"])}


def _scored(confirm: pd.DataFrame, evaluations: pd.DataFrame) -> dict[str, Scored]:
    """The images of each confirm trial that recorded them, by trial."""
    kept = evaluations[evaluations["right"].notna() & evaluations["class_images"].notna()]
    own = confirm[["trial_id", "dataset", "probe", "data_fingerprint"]]
    kept = kept.merge(
        own.rename(columns={"probe": "protocol"}), on=["trial_id", "dataset", "protocol"]
    )
    scored = {}
    for row in kept.to_dict("records"):
        counts = np.asarray(row["class_images"], np.int64)
        bits = np.frombuffer(row["right"], np.uint8)
        right = np.unpackbits(bits, count=int(counts.sum())).astype(bool)
        images = (str(row["data_fingerprint"]), *counts.tolist())
        scored[str(row["trial_id"])] = Scored(images, counts, right)
    return scored


def _differences(
    confirm: pd.DataFrame, pairs: pd.DataFrame, scored: dict[str, Scored]
) -> pd.DataFrame:
    """The pairs whose two trials scored the same images, with what each image adds to the gain.

    Columns beside the pairs': ``images`` (what names them) and ``difference`` ((images,): 1 where
    only the arm was right, -1 where only the baseline was, else 0).
    """
    baseline = confirm.loc[confirm["arm"] == BASELINE, [*PAIR, "trial_id"]]
    both = pairs.merge(baseline, on=PAIR, suffixes=("", "_none"))
    rows = []
    for row in both.to_dict("records"):
        arm, none = scored.get(row["trial_id"]), scored.get(row["trial_id_none"])
        if arm is not None and none is not None and arm.images == none.images:
            difference = arm.right.astype(np.int8) - none.right.astype(np.int8)
            rows.append(row | {"images": arm.images, "difference": difference})
    return pd.DataFrame(rows, columns=[*both, "images", "difference"])


def _by_run(rows: pd.DataFrame) -> Floats:
    """Mean gain of each run's pairs on each image, points, (runs, images)."""
    runs = [np.mean(run["difference"].tolist(), axis=0) for _, run in rows.groupby(UNIT)]
    return 100.0 * np.array(runs)


def _complete(widths: list[pd.DataFrame]) -> Floats:
    """(widths, runs, images), of the runs that have a pair at every width."""
    runs = set.intersection(*(set(width[UNIT]) for width in widths))
    return np.array([_by_run(width[width[UNIT].isin(runs)]) for width in widths])


def _row(name: str, values: Floats) -> dict[str, object]:
    return {"runs": values.shape[0], "images": values.shape[1]} | _estimate(name, two_way(values))


def _estimate(name: str, found: TwoWay) -> dict[str, object]:
    (runs_low, runs_high), (low, high) = found.runs.interval(), found.interval()
    return {
        name: found.runs.value,
        "error_runs": found.runs.error,
        "error_images": found.images,
        "images_share": found.share,
        "runs_low": runs_low,
        "runs_high": runs_high,
        "low": low,
        "high": high,
    }


def _class_rows(values: Floats, class_images: NDArray[np.int64]) -> list[dict[str, object]]:
    ends = np.cumsum(class_images)
    level = 1 - ALPHA / max(1, int((class_images > 0).sum()))
    rows = []
    for label, (end, count) in enumerate(zip(ends, class_images, strict=True)):
        if count == 0:
            continue
        own = values[:, end - count : end]
        low, high = two_way(own).interval(level)
        rows.append(
            {"class": label, "overall": float(values.mean())}
            | _row("gain", own)
            | {"family_low": low, "family_high": high}
        )
    return rows
