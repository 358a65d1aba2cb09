"""What searches varied and chose, and which hyperparameters matter for the accuracy."""

from __future__ import annotations

import warnings

import optuna
import pandas as pd
from scipy import stats

from reports.statistics.fairness import OF_CELL, SEARCH, tune_trials
from reports.statistics.selection import CELL, best_tune_trials, with_keys
from reports.store.schema import COMPLETE, TUNE
from trainables.config import Role, fields_with

FEWEST_FOR_IMPORTANCE = 8
"""Complete trials of a cell: fewer say little about any hyperparameter."""
_OWN = "own_parameters."


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
    varied = tune.groupby(SEARCH)[names].nunique().gt(1).any()
    return [name for name in names if varied[name]]


def chosen_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The hyperparameters of each search's best trial: one row for each that the search varied.

    Columns beside the cell's: ``study``, ``search``, ``parameters``, ``capacity`` with its
    ``measure``, ``hyperparameter``, ``value`` (NaN if it is not a number) and ``choice`` (the value
    as text).
    """
    trials = with_own_columns(trials)
    names = searched(trials)
    tune = tune_trials(trials)
    best = best_tune_trials(tune)
    of_size = ["parameters", "capacity", "measure"]
    long = best[[*SEARCH, *of_size, *names]].astype(dict.fromkeys(names, object))
    long = long.melt([*SEARCH, *of_size], names, "hyperparameter", "choice")
    long = long.dropna(subset="choice")
    varied = tune.groupby(SEARCH)[names].nunique().gt(1).stack()
    keys = pd.MultiIndex.from_frame(long[[*SEARCH, "hyperparameter"]])
    kept = long[varied.reindex(keys, fill_value=False).to_numpy(dtype=bool)]
    kept = kept.assign(
        value=pd.to_numeric(kept["choice"], errors="coerce").astype(float),
        choice=kept["choice"].map(lambda v: v if isinstance(v, str) else f"{v:.4g}"),
    )
    columns = [*SEARCH, *of_size, "hyperparameter", "value", "choice"]
    return kept.sort_values([*SEARCH, "hyperparameter"])[columns].reset_index(drop=True)


def typical_values(chosen: pd.DataFrame) -> pd.DataFrame:
    """The geometric mean over the searches of a cell of each value that is above zero.

    Args:
        chosen: `chosen_table`.

    Returns:
        The columns of the cell, ``study``, ``parameters``, ``capacity`` with its ``measure``,
        ``hyperparameter`` and ``value``.
    """
    positive = chosen[chosen["value"] > 0]
    of_cell = [*OF_CELL, "parameters", "capacity", "measure", "hyperparameter"]
    return positive.groupby(of_cell, as_index=False)["value"].agg(stats.gmean)


def by_search(chosen: pd.DataFrame) -> pd.DataFrame:
    """One row for each search, to be read beside others.

    Args:
        chosen: `chosen_table`.

    Returns:
        ``study``, the columns of the cell, ``search``, and a column of ``choice`` for each
        hyperparameter; NaN where the search did not vary it.
    """
    wide = chosen.pivot(index=SEARCH, columns="hyperparameter", values="choice")
    return wide.rename_axis(columns=None).reset_index()


def importance_table(trials: pd.DataFrame) -> pd.DataFrame:
    """How much of the variance of accuracy each searched hyperparameter explains, for each cell.

    Source: Optuna's PED-ANOVA (Watanabe et al. 2023), on the complete tune trials of all searches.
    A cell with fewer than `FEWEST_FOR_IMPORTANCE` complete trials gets no rows.

    Returns:
        The columns of the cell, ``hyperparameter`` and ``importance`` (0 to 1; a cell's sum is 1).
    """
    trials = with_own_columns(trials)
    names = [name for name in searched(trials) if pd.api.types.is_numeric_dtype(trials[name])]
    tune = tune_trials(trials)
    tune = tune[(tune["status"] == COMPLETE) & tune["accuracy"].notna()]
    rows = []
    for (_, *key), cell in tune.groupby(OF_CELL, sort=True):
        varied = [name for name in names if cell[name].nunique() > 1]
        if len(cell) < FEWEST_FOR_IMPORTANCE or not varied:
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
