"""Gain: confirm accuracy of an arm minus that of ``none``: same search, seed, data and encoder."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.statistics.capacity import OF_SIZE, SIZE
from reports.statistics.intervals import Floats, bca_interval, sign_flip_p, t_interval
from reports.statistics.selection import BASELINE, LINE, Selection, select, with_keys
from reports.statistics.units import by_unit
from reports.store.schema import COMPLETE

PAIR = [*LINE, *SIZE, "search", "seed"]
WIDTH = [*LINE, "arm", *SIZE]
"""The columns that name an encoder of a line with one arm."""


def pairs(selection: Selection) -> pd.DataFrame:
    """One row for each (dataset, method, encoder, width, arm, search, seed) that ``none`` has, too.

    Columns beside those: ``parameters``, ``encoder_flops``, ``accuracy``, ``baseline`` (percent),
    ``gain`` (points), ``error_reduction`` (percent of the baseline's error; NaN if that error is
    0), ``logit_gain`` (difference of log odds; accuracies near 100 % do not shrink it),
    ``compute_ratio`` (training FLOPs of the arm over the baseline's), ``effective_rank`` and
    ``effective_rank_none`` (of the features of both encoders on validation images).
    """
    columns = [*PAIR, "accuracy", "flops", "epochs", "scored_images", "effective_rank"]
    confirm = selection.confirm
    if "effective_rank" not in confirm:  # trials by hand need not have it
        confirm = confirm.assign(effective_rank=np.nan)
    baseline = confirm.loc[confirm["arm"] == BASELINE, columns]
    treated = confirm.loc[
        confirm["arm"] != BASELINE,
        [*columns, "arm", "study", "trial_id", "parameters", "encoder_flops", *OF_SIZE],
    ]
    both = treated.merge(baseline, on=PAIR, suffixes=("", "_none"), validate="many_to_one")
    both = both.rename(columns={"accuracy_none": "baseline"})
    both["gain"] = both["accuracy"] - both["baseline"]
    error = (100.0 - both["baseline"]).where(lambda e: e > 0)
    both["error_reduction"] = 100.0 * both["gain"] / error
    both["logit_gain"] = _log_odds(both["accuracy"], both["scored_images"]) - _log_odds(
        both["baseline"], both["scored_images"]
    )
    both["compute_ratio"] = both["flops"] / both["flops_none"]
    return both.sort_values([*WIDTH, "search", "seed"]).reset_index(drop=True)


def _log_odds(accuracy: pd.Series, images: pd.Series) -> pd.Series:
    """Log odds of being right, with half an image added to each side (Haldane-Anscombe)."""
    n = images.astype(float).fillna(10_000.0)
    right = accuracy / 100.0 * n
    return ((right + 0.5) / (n - right + 0.5)).map(np.log)


def unpaired(trials: pd.DataFrame) -> pd.DataFrame:
    """Confirm trials that have no partner to be paired with, and why.

    The partner is the trial of the other arm in the same search with the same seed. If a study has
    no trial at all of an arm on a line, that arm was not planned there: it does not count as
    missing.

    Columns: dataset, method, line, encoder, width, arm, search, seed, ``missing`` (the partner's
    arm) and ``reason`` (how the partner ended, or "not run").
    """
    trials = with_keys(trials)
    selection = select(trials)
    confirm = selection.confirm
    planned: dict[tuple[str, ...], set[str]] = {}
    arms_of_lines = trials[["study", *LINE, "arm"]].drop_duplicates()
    for *line, arm in arms_of_lines.itertuples(index=False, name=None):
        planned.setdefault(tuple(line), set()).add(arm)
    studies = confirm.drop_duplicates(PAIR).set_index(PAIR)["study"].to_dict()
    present = set(confirm[[*PAIR, "arm"]].itertuples(index=False, name=None))
    bad = selection.unfinished
    endings = {
        tuple(key): status if status != COMPLETE else "no score"
        for *key, status in bad[[*PAIR, "arm", "status"]].itertuples(index=False, name=None)
    }
    rows = []
    for *pair, arm in sorted(present):
        arms = planned[studies[tuple(pair)], *pair[: len(LINE)]]
        for other in sorted(arms - {BASELINE}) if arm == BASELINE else [BASELINE]:
            if (*pair, other) not in present:
                reason = endings.get((*pair, other), "not run")
                rows.append((*pair[:-2], arm, *pair[-2:], other, reason))
    columns = [*LINE, *SIZE, "arm", "search", "seed", "missing", "reason"]
    return pd.DataFrame(rows, columns=columns)


def gain_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The gain at each (dataset, method, encoder, arm, width), from a trials table.

    Columns beside those: ``parameters``, ``encoder_flops``; ``pairs`` (their number), ``searches``
    (with a pair) and ``seeds``; ``accuracy`` and ``baseline`` (means, percent); ``gain`` (mean,
    points) with ``low`` and ``high`` (Student's 95 % interval), ``bca_low`` and ``bca_high`` (BCa
    bootstrap, NaN below ten units), ``sd`` (standard deviation of a unit's gain) and ``p``
    (two-sided sign-flip test); ``error_reduction`` and ``logit_gain``, each with ``_low`` and
    ``_high``; ``compute_ratio``. Intervals and tests are over units (`units.by_unit`).
    """
    return gain_from_pairs(pairs(select(trials)))


def gain_from_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """`gain_table` from the result of `pairs`."""
    pairs_of = dict(list(table.groupby(WIDTH)))
    rows = [
        dict(zip(WIDTH, key, strict=True)) | _summarise(units, pairs_of[key])
        for key, units in by_unit(table).groupby(WIDTH, sort=True)
    ]
    table = pd.DataFrame(rows, columns=[*WIDTH, *_SUMMARY])
    return table.sort_values([*LINE, "arm", "capacity"], kind="stable", ignore_index=True)


_SUMMARY = [
    *OF_SIZE, "parameters", "encoder_flops", "pairs", "searches", "seeds", "accuracy", "baseline",
    "gain", "low", "high", "bca_low", "bca_high", "sd", "p",
    "error_reduction", "error_reduction_low", "error_reduction_high",
    "logit_gain", "logit_gain_low", "logit_gain_high", "compute_ratio",
]  # fmt: skip


def _summarise(group: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, object]:
    gain = group["gain"].to_numpy(float)
    low, high = t_interval(gain)
    bca_low, bca_high = bca_interval(gain)
    row: dict[str, object] = {
        **{name: group[name].iloc[0] for name in OF_SIZE},
        "parameters": int(group["parameters"].iloc[0]),
        "encoder_flops": int(group["encoder_flops"].fillna(0).iloc[0]),
        "pairs": len(pairs),
        "searches": pairs["search"].nunique(),
        "seeds": ", ".join(str(seed) for seed in sorted(set(pairs["seed"]))),
        "accuracy": float(group["accuracy"].mean()),
        "baseline": float(group["baseline"].mean()),
        "gain": float(gain.mean()),
        "low": low,
        "high": high,
        "bca_low": bca_low,
        "bca_high": bca_high,
        "sd": float(np.std(gain, ddof=1)) if len(gain) > 1 else np.nan,
        "p": sign_flip_p(gain),
        "compute_ratio": float(group["compute_ratio"].mean()),
    }
    for scale in ("error_reduction", "logit_gain"):
        values: Floats = group[scale].dropna().to_numpy(float)
        row[scale] = float(values.mean()) if len(values) else np.nan
        row[f"{scale}_low"], row[f"{scale}_high"] = t_interval(values)
    return row


def accuracy_table(selection: Selection) -> pd.DataFrame:
    """Confirm accuracy of every arm (also of ``none``) at each width.

    Columns beside the width's: ``parameters``, ``accuracy`` (mean, percent), ``low`` and ``high``
    (Student's 95 % interval over units, `units.by_unit`), ``searches`` and ``seeds`` (their
    number).
    """
    rows = []
    for key, group in by_unit(selection.confirm).groupby(WIDTH, sort=True):
        scores = group["accuracy"].to_numpy(float)
        low, high = t_interval(scores)
        parameters = int(group["parameters"].iloc[0])
        searches, seeds = group["search"].nunique(), int(group["seeds"].sum())
        of_size = [group[name].iloc[0] for name in OF_SIZE]
        rows.append((*key, *of_size, parameters, float(scores.mean()), low, high, searches, seeds))
    columns = [*WIDTH, *OF_SIZE, "parameters", "accuracy", "low", "high", "searches", "seeds"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values([*LINE, "arm", "capacity"], kind="stable", ignore_index=True)
