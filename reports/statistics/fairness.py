"""Fairness: did every arm get the same search budget, and was any search cut short?"""

from __future__ import annotations

import warnings

import optuna
import pandas as pd

from reports.statistics.capacity import SIZE
from reports.statistics.selection import BASELINE, CELL, LINE, best_tune_trials, with_keys
from reports.store.schema import COMPLETE, STATUSES, TUNE
from trainables.config import Role, fields_with

LATE = 0.8
"""A best trial in the last fifth of a search hints that more trials would find a better one."""
_SEARCH = ["study", *CELL, "search"]


def search_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """The best validation accuracy after each trial of a search.

    Returns:
        ``study``, the columns of the cell, ``search``, ``size`` and ``capacity`` of the encoder,
        ``trial`` (place in the search, from 1) and ``best`` (highest accuracy up to that trial,
        percent; NaN before the first complete trial).
    """
    tune = _searches(trials)
    cells = [tune[name] for name in _SEARCH]
    scores = tune["accuracy"].where(tune["status"] == COMPLETE)
    return tune[[*_SEARCH, "size", "capacity", "trial"]].assign(
        best=scores.groupby(cells).cummax().groupby(cells).ffill()
    )


def _searches(trials: pd.DataFrame) -> pd.DataFrame:
    """The tune trials, with ``trial``: the place (from 1) in a search of the cell and width."""
    tune = with_keys(trials[trials["phase"] == TUNE])
    tune = tune.assign(study=tune["study"].fillna("")).sort_values(
        [*_SEARCH, "number"], kind="stable"
    )
    return tune.assign(trial=tune.groupby(_SEARCH).cumcount() + 1)


def search_table(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each search of each cell: what it found, and after how many trials.

    Columns beside the cell's: ``search``, ``trials`` (their number), ``first`` (accuracy of the
    first trial, percent; a search starts from the defaults), ``best`` (accuracy of the best trial,
    percent), ``lift`` (``best`` minus ``first``, points), ``found_at`` (place of the best trial in
    the search) and ``late`` (whether the best trial is in the last fifth).
    """
    tune = _searches(trials)
    best = best_tune_trials(tune)
    first = tune[(tune["status"] == COMPLETE) & (tune["trial"] == 1)]
    table = best[[*_SEARCH, "accuracy", "trial"]].sort_values(_SEARCH).set_index(_SEARCH)
    table = table.rename(columns={"accuracy": "best", "trial": "found_at"})
    table["trials"] = tune.groupby(_SEARCH).size()
    table["first"] = first.set_index(_SEARCH)["accuracy"]
    table["lift"] = table["best"] - table["first"]
    table["late"] = (table["found_at"] > LATE * table["trials"]) & (table["trials"] >= 5)
    columns = ["trials", "first", "best", "lift", "found_at", "late"]
    return table[columns].reset_index()[[*CELL, "search", *columns]]


def budget_table(trials: pd.DataFrame) -> pd.DataFrame:
    """What each arm of each method spent in the tune phase and in the confirm phase.

    Columns: ``method``, ``arm``, ``phase``, ``trials``, ``epochs``, ``flops``, ``hours``,
    ``gpu_hours`` and ``flops_ratio`` (FLOPs over the baseline's in the same method and phase).
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
    """The searches whose number of trials differs from the baseline's on the same problem.

    Columns: dataset, method, encoder, ``widths`` (one width, or all that a joint search tried,
    joined by dots), arm, ``search``, ``trials`` and ``baseline_trials`` (0 if the baseline was not
    searched).
    """
    tune = with_keys(trials[trials["phase"] == TUNE])
    columns = [*LINE, "encoder", "widths", "arm", "search", "trials", "baseline_trials"]
    if tune.empty:
        return pd.DataFrame(columns=columns)
    problem = ["study", *LINE, "encoder", "search"]
    tune = tune.assign(study=tune["study"].fillna(""))
    # A cell with two widths or more is a joint search: its whole line is one problem.
    per_cell = tune.groupby([*problem, "cell"])["width"].nunique().rename("seen").reset_index()
    joint = per_cell.groupby(problem)["seen"].transform("max") > 1
    joint_cells = set(per_cell.loc[joint, "cell"])
    tune["problem"] = tune["width"].astype(str).mask(tune["cell"].isin(joint_cells), "joint")
    problem.append("problem")
    widths = tune.groupby(problem)["width"].agg(lambda w: ".".join(map(str, sorted(set(w)))))
    counts = tune.groupby([*problem, "arm"], as_index=False).agg(trials=("trial_id", "size"))
    own = pd.MultiIndex.from_frame(counts[problem])
    baseline = counts[counts["arm"] == BASELINE].set_index(problem)["trials"]
    counts["widths"] = widths.reindex(own).to_numpy()
    counts["baseline_trials"] = baseline.reindex(own).fillna(0).to_numpy(int)
    differ = (counts["arm"] != BASELINE) & (counts["trials"] != counts["baseline_trials"])
    return counts.loc[differ, columns].reset_index(drop=True)


_OWN = "own_parameters."
_COMPARABLE = (
    "image_size", "probe", "validation_fraction", "train_images", "data_fingerprint",
    "scored_images", "classes",
)  # fmt: skip


def mixed_runs(confirm: pd.DataFrame) -> pd.DataFrame:
    """The settings that differ within a line although its accuracies are then not comparable.

    Columns: dataset, method, encoder, ``setting`` and ``values``. Epochs are compared within each
    arm, since arms that are matched in compute differ in them.
    """
    rows = []
    for key, line in confirm.groupby(LINE, sort=True):
        for name in _COMPARABLE:
            if line[name].nunique() > 1:
                rows.append((*key, name, _listed(line[name])))
        if line.groupby("arm")["epochs"].nunique().gt(1).any():
            rows.append((*key, "epochs", _listed(line["epochs"])))
        if line.groupby(SIZE)["parameters"].nunique().gt(1).any():
            rows.append((*key, "parameters of one encoder", _listed(line["parameters"])))
    return pd.DataFrame(rows, columns=[*LINE, "setting", "values"])


def _listed(column: pd.Series) -> str:
    values = sorted(column.dropna().unique())
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def with_own_columns(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column for each parameter of one's own, ``own_parameters.NAME``.

    A trial whose objects do not declare the parameter has no value.
    """
    if "own_parameters" not in trials or _own_columns(trials):
        return trials
    values = [dict(own or {}) for own in trials["own_parameters"]]
    names = sorted({name for own in values for name in own})
    columns = {f"{_OWN}{name}": [own.get(name) for own in values] for name in names}
    return pd.concat([trials, pd.DataFrame(columns, trials.index)], axis=1)


def _own_columns(trials: pd.DataFrame) -> list[str]:
    return [name for name in map(str, trials) if name.startswith(_OWN)]


def searched(trials: pd.DataFrame) -> list[str]:
    """The hyperparameters that differ between tune trials of one search, in at least one search."""
    trials = with_own_columns(trials)
    tune = with_keys(trials[trials["phase"] == TUNE])
    names = [*fields_with(Role.HYPERPARAMETER), *_own_columns(trials)]
    if tune.empty:
        return []
    varied = (
        tune.assign(study=tune["study"].fillna("")).groupby(_SEARCH)[names].nunique().gt(1).any()
    )
    return [name for name in names if varied[name]]


def chosen_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The hyperparameters of each search's best trial: one row for each that the search varied.

    Columns beside the cell's: ``search``, ``parameters``, ``capacity`` with its ``measure``,
    ``hyperparameter``, ``value`` (NaN if it is not a number) and ``choice`` (the value as text).
    """
    trials = with_own_columns(trials)
    names = searched(trials)
    tune = _searches(trials)
    best = best_tune_trials(tune)
    of_size = ["parameters", "capacity", "measure"]
    long = best[[*_SEARCH, *of_size, *names]].astype(dict.fromkeys(names, object))
    long = long.melt([*_SEARCH, *of_size], names, "hyperparameter", "choice")
    long = long.dropna(subset="choice")
    varied = tune.groupby(_SEARCH)[names].nunique().gt(1).stack()
    keys = pd.MultiIndex.from_frame(long[[*_SEARCH, "hyperparameter"]])
    kept = long[varied.reindex(keys, fill_value=False).to_numpy(dtype=bool)]
    kept = kept.assign(
        value=pd.to_numeric(kept["choice"], errors="coerce").astype(float),
        choice=kept["choice"].map(lambda v: v if isinstance(v, str) else f"{v:.4g}"),
    )
    columns = [*CELL, "search", *of_size, "hyperparameter", "value", "choice"]
    return kept.sort_values([*_SEARCH, "hyperparameter"])[columns].reset_index(drop=True)


def importance_table(trials: pd.DataFrame, fewest: int = 8) -> pd.DataFrame:
    """How much of the variance of accuracy each searched hyperparameter explains, for each cell.

    Source: Optuna's PED-ANOVA (Watanabe et al. 2023), on the complete tune trials of all searches.
    A cell with fewer than ``fewest`` complete trials gets no rows.

    Returns:
        The columns of the cell, ``hyperparameter`` and ``importance`` (0 to 1; a cell's sum is 1).
    """
    trials = with_own_columns(trials)
    names = [name for name in searched(trials) if pd.api.types.is_numeric_dtype(trials[name])]
    tune = _searches(trials)
    tune = tune[(tune["status"] == COMPLETE) & tune["accuracy"].notna()]
    rows = []
    for (_, *key), cell in tune.groupby(["study", *CELL], sort=True):
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
    """The cell's trials as an Optuna study in memory; each range spans the values seen."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cell = cell[[*names, "accuracy"]].dropna()
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

    ``diverged_share`` is the percentage of trials that diverged. Read it beside the accuracies:
    they come from the other trials only, which flatters an arm that often diverges.
    """
    keys = ["method", "arm", "encoder", "width"]
    table = trials.groupby([*keys, "status"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(STATUSES), fill_value=0)
    table["trials"] = table.sum(axis=1)
    table["diverged_share"] = 100.0 * table["diverged"] / table["trials"]
    return table.reset_index().rename_axis(columns=None)


def errors_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The distinct errors, most frequent first.

    Columns: ``error`` (first line, cut to 200 characters), ``trials`` (how many ended with it) and
    ``arms`` (of those trials).
    """
    failed = trials[trials["error"].notna() & (trials["error"] != "")]
    if failed.empty:
        return pd.DataFrame(columns=["error", "trials", "arms"])
    lines = failed.assign(error=failed["error"].str.split("\n").str[0].str.slice(0, 200))
    table = lines.groupby("error").agg(
        trials=("trial_id", "size"), arms=("arm", lambda arms: ", ".join(sorted(set(arms))))
    )
    return table.sort_values("trials", ascending=False, kind="stable").reset_index()
