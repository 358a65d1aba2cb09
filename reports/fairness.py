"""Fairness: were both arms searched with the same budget, and was neither cut short?"""

from __future__ import annotations

import warnings

import optuna
import pandas as pd

from reports.selection import BASELINE, CELL, best_tune_trials
from study.store import COMPLETE, CONFIG_FIELDS, STATUSES, TUNE

LATE = 0.8
"""A best trial found in the last fifth of a search is a hint that it was cut short."""
NOT_SEARCHED = {"dataset", "method", "arm", "encoder", "width", "seed", "device", "eval_datasets"}


def search_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """Best validation accuracy so far against trials, for each cell.

    Returns:
        Columns of the cell, ``trial`` (from 1, in the order of their numbers) and ``best``
        (percent; NaN before the first complete trial).
    """
    tune = trials[trials["phase"] == TUNE].sort_values([*CELL, "number"], kind="stable")
    cells = [tune[name] for name in CELL]
    scores = tune["accuracy"].where(tune["status"] == COMPLETE)
    return tune[CELL].assign(
        trial=tune.groupby(CELL).cumcount() + 1,
        best=scores.groupby(cells).cummax().groupby(cells).ffill(),
    )


def search_table(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each tuned cell: what its search found, and how late.

    Columns beside the cell's: ``trials``, ``first`` (accuracy of the first trial, the defaults
    where the search starts from them), ``best``, ``lift`` (their difference, points), ``found_at``
    (the trial that was best) and ``late`` (it is in the last fifth).
    """
    tune = trials[trials["phase"] == TUNE]
    best = best_tune_trials(trials)
    counts = tune.groupby(CELL).size()
    first = tune[(tune["status"] == COMPLETE) & (tune["number"] == 0)]
    table = best[[*CELL, "accuracy", "number"]].rename(columns={"accuracy": "best"})
    table = table.sort_values(CELL).set_index(CELL)
    table["trials"] = counts
    table["first"] = first.drop_duplicates(CELL).set_index(CELL)["accuracy"]
    table["lift"] = table["best"] - table["first"]
    table["found_at"] = table["number"] + 1
    table["late"] = (table["found_at"] > LATE * table["trials"]) & (table["trials"] >= 5)
    columns = ["trials", "first", "best", "lift", "found_at", "late"]
    return table[columns].reset_index()


def budget_table(trials: pd.DataFrame) -> pd.DataFrame:
    """What each arm of each method was given, tuning and confirming.

    Columns: ``method``, ``arm``, ``phase``, ``trials``, ``epochs``, ``flops``, ``hours``,
    ``gpu_hours`` and ``flops_ratio`` (over the baseline's, same method and phase).
    """
    table = (
        trials.assign(hours=trials["seconds"] / 3600)
        .groupby(["method", "arm", "phase"], as_index=False)
        .agg(
            trials=("trial_id", "size"),
            epochs=("epochs_done", "sum"),
            flops=("flops", "sum"),
            hours=("hours", "sum"),
            gpu_hours=("gpu_hours", "sum"),
        )
    )
    baseline = table[table["arm"] == BASELINE].set_index(["method", "phase"])["flops"]
    own = pd.MultiIndex.from_frame(table[["method", "phase"]])
    table["flops_ratio"] = table["flops"] / baseline.reindex(own).to_numpy()
    return table


def unequal_budgets(trials: pd.DataFrame) -> pd.DataFrame:
    """Cells whose search had another number of trials than the baseline's on the same problem."""
    tune = trials[trials["phase"] == TUNE]
    counts = tune.groupby(CELL).size().unstack("arm")
    if counts.empty or BASELINE not in counts:
        return pd.DataFrame(columns=[*CELL, "trials", "baseline_trials"])
    rows = counts.reset_index().melt([*CELL[:-1], BASELINE], var_name="arm", value_name="trials")
    rows = rows.rename(columns={BASELINE: "baseline_trials"}).dropna()[
        [*CELL, "trials", "baseline_trials"]
    ]
    return rows[rows["trials"] != rows["baseline_trials"]].reset_index(drop=True)


def searched(trials: pd.DataFrame) -> list[str]:
    """Hyperparameters that the tune trials of some cell vary."""
    tune = trials[trials["phase"] == TUNE]
    names = [name for name, _ in CONFIG_FIELDS if name not in NOT_SEARCHED]
    if tune.empty:
        return []
    varied = tune.groupby(CELL)[names].nunique().gt(1).any()
    return [name for name in names if varied[name]]


def chosen_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The chosen hyperparameters of each cell, one row for each that its search varied.

    Columns beside the cell's: ``parameters``, ``hyperparameter`` and ``value`` (a number).
    """
    names = searched(trials)
    best = best_tune_trials(trials)
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(trials[name])]
    long = best.melt([*CELL, "parameters"], numeric, "hyperparameter", "value").dropna()
    varied = trials[trials["phase"] == TUNE].groupby(CELL)[numeric].nunique().gt(1).stack()
    keys = pd.MultiIndex.from_frame(long[[*CELL, "hyperparameter"]])
    kept = long[varied.reindex(keys, fill_value=False).to_numpy(dtype=bool)]
    return kept.sort_values([*CELL, "hyperparameter"]).reset_index(drop=True)


def importance_table(trials: pd.DataFrame, fewest: int = 8) -> pd.DataFrame:
    """Share of each searched hyperparameter in the variance of accuracy, for each cell.

    Optuna's PED-ANOVA (Watanabe et al. 2023), on the complete tune trials; cells with fewer than
    ``fewest`` have none.

    Returns:
        Columns of the cell, ``hyperparameter`` and ``importance`` (0 to 1, they sum to 1).
    """
    names = [name for name in searched(trials) if pd.api.types.is_numeric_dtype(trials[name])]
    tune = trials[(trials["phase"] == TUNE) & (trials["status"] == COMPLETE)]
    rows = []
    for key, cell in tune.groupby(CELL, sort=True):
        varied = [name for name in names if cell[name].nunique() > 1]
        if len(cell) < fewest or not varied:
            continue
        study = _study(cell, varied)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
        rows += [(*key, name, share) for name, share in shares.items()]
    return pd.DataFrame(rows, columns=[*CELL, "hyperparameter", "importance"])


def _study(cell: pd.DataFrame, names: list[str]) -> optuna.Study:
    """The cell's trials as an Optuna study in memory, ranges as they were seen."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cell = cell.dropna(subset=[*names, "accuracy"])
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(low, high, log=low > 0 and high / low > 10)
        for name in names
        for low, high in [(float(cell[name].min()), float(cell[name].max()))]
    }
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: float(row[name]) for name in names},
                distributions=distributions,
                value=float(row["accuracy"]),
            )
            for row in cell.to_dict("records")
        ]
    )
    return study


def endings_table(trials: pd.DataFrame) -> pd.DataFrame:
    """How trials ended, for each (method, arm, encoder, width): counts of each status.

    ``diverged_share`` is the percentage that diverged: a method that diverges more often is not
    better for having been scored on the rest.
    """
    keys = ["method", "arm", "encoder", "width"]
    table = trials.groupby([*keys, "status"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(STATUSES), fill_value=0)
    table["trials"] = table.sum(axis=1)
    table["diverged_share"] = 100.0 * table["diverged"] / table["trials"]
    return table.reset_index().rename_axis(columns=None)


def errors_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The distinct errors (first line), how often each came and in which arms; commonest first."""
    failed = trials[trials["error"].notna() & (trials["error"] != "")]
    if failed.empty:
        return pd.DataFrame(columns=["error", "trials", "arms"])
    lines = failed.assign(error=failed["error"].str.split("\n").str[0].str.slice(0, 200))
    table = lines.groupby("error").agg(
        trials=("trial_id", "size"), arms=("arm", lambda arms: ", ".join(sorted(set(arms))))
    )
    return table.sort_values("trials", ascending=False, kind="stable").reset_index()
