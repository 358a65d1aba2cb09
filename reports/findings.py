"""All numbers of a report, computed once: the page, the tables and the terminal only show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports.output import words
from reports.statistics import (
    aggregate,
    equivalence,
    fairness,
    gain,
    hierarchy,
    scaling,
    transfer,
    trend,
)
from reports.statistics.selection import Selection, select
from reports.store.tables import EVALUATIONS


@dataclass(frozen=True)
class Findings:
    """Finished frames and sentences of one report; each frame is described where it is computed."""

    name: str
    trials: pd.DataFrame
    selection: Selection
    pairs: pd.DataFrame
    unpaired: pd.DataFrame
    gains: pd.DataFrame
    accuracies: pd.DataFrame
    trends: pd.DataFrame
    log_odds_trends: pd.DataFrame
    pooled: pd.DataFrame
    log_odds_pooled: pd.DataFrame
    second_opinions: pd.DataFrame
    aggregates: pd.DataFrame
    equivalence: pd.DataFrame
    flops_equivalence: pd.DataFrame
    scaling: pd.DataFrame
    residuals: pd.DataFrame
    transfer: pd.DataFrame
    searches: pd.DataFrame
    search_curves: pd.DataFrame
    budgets: pd.DataFrame
    unequal: pd.DataFrame
    mixed: pd.DataFrame
    chosen: pd.DataFrame
    importances: pd.DataFrame
    endings: pd.DataFrame
    errors: pd.DataFrame
    headlines: list[str]
    limits: list[str]
    compute: str
    equivalence_words: str
    fairness: list[str]

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that are exported, by file name."""
        return {
            "gain": self.gains,
            "pairs": self.pairs,
            "accuracy": self.accuracies,
            "trend": self.trends,
            "trend_log_odds": self.log_odds_trends,
            "trend_pooled": self.pooled,
            "trend_pooled_log_odds": self.log_odds_pooled,
            "trend_second_opinions": self.second_opinions,
            "aggregates": self.aggregates,
            "equivalence_parameters": self.equivalence,
            "equivalence_flops": self.flops_equivalence,
            "scaling": self.scaling,
            "scaling_residuals": self.residuals,
            "transfer": self.transfer,
            "searches": self.searches,
            "budgets": self.budgets,
            "unequal_budgets": self.unequal,
            "mixed_runs": self.mixed,
            "hyperparameters": self.chosen,
            "importances": self.importances,
            "endings": self.endings,
            "errors": self.errors,
            "unpaired": self.unpaired,
        }


def find(
    trials: pd.DataFrame,
    evaluations: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> Findings:
    """Everything a report says.

    Args:
        trials: the trials table.
        evaluations: the evaluations table, for transfer.
        notes: limits that the tables do not show, such as files that could not be read.
    """
    selection = select(trials)
    unpaired = gain.unpaired(trials)
    pairs = gain.pairs(selection)
    gains = gain.gain_from_pairs(pairs)
    trends = trend.trend_table(pairs)
    pooled = aggregate.pooled_trend(pairs)
    log_odds_pooled = aggregate.pooled_trend(pairs, "logit_gain")
    fits = scaling.scaling_table(selection)
    matches = equivalence.equivalence_table(selection)
    mixed = fairness.mixed_runs(selection.confirm)
    searches, unequal = fairness.search_table(trials), fairness.unequal_budgets(trials)
    return Findings(
        name=", ".join(sorted({str(s) for s in trials["study"].dropna()} - {""})) or "unnamed",
        trials=trials,
        selection=selection,
        pairs=pairs,
        unpaired=unpaired,
        gains=gains,
        accuracies=gain.accuracy_table(selection),
        trends=trends,
        log_odds_trends=trend.trend_table(pairs, "logit_gain"),
        pooled=pooled,
        log_odds_pooled=log_odds_pooled,
        second_opinions=hierarchy.second_opinions(pairs),
        aggregates=aggregate.aggregates(pairs),
        equivalence=matches,
        flops_equivalence=equivalence.equivalence_table(selection, "encoder_flops"),
        scaling=fits,
        residuals=scaling.residual_table(selection, fits),
        transfer=transfer.transfer_table(
            selection, EVALUATIONS.empty_table().to_pandas() if evaluations is None else evaluations
        ),
        searches=searches,
        search_curves=fairness.search_curves(trials),
        budgets=fairness.budget_table(trials),
        unequal=unequal,
        mixed=mixed,
        chosen=fairness.chosen_table(trials),
        importances=fairness.importance_table(trials),
        endings=fairness.endings_table(trials),
        errors=fairness.errors_table(trials),
        headlines=[words.headline(row) for _, row in pooled.iterrows()],
        limits=[
            *notes,
            *words.mixed_words(mixed, selection.overlaps),
            *words.partial(trials, gains, unpaired),
            *words.limits(gains, pooled),
            *words.method_words(trends),
            *words.ceiling_words(pooled, log_odds_pooled),
        ],
        compute=words.compute_match(pairs),
        equivalence_words=words.equivalence_words(matches),
        fairness=words.fairness_words(searches, unequal),
    )


def as_json(findings: Findings) -> dict[str, object]:
    """The report for programs: plain lists and numbers, null where there is no number."""
    return {
        "study": findings.name,
        "verdict": findings.headlines,
        "limits": findings.limits,
        "compute": findings.compute,
        "tables": {name: records(table) for name, table in findings.tables().items()},
        "superseded": findings.selection.superseded,
        "duplicates": findings.selection.duplicates,
    }


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain values, with None for what is not a number."""
    plain = frame.astype(object).where(frame.notna() & ~frame.isin([math.inf, -math.inf]), None)
    return [{str(k): _plain(v) for k, v in row.items()} for row in plain.to_dict("records")]


def _plain(value: object) -> object:
    return value.item() if hasattr(value, "item") else value
