"""Everything that a report says, computed once. The page, files and terminal only show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from reports.output.sentences.collapse import collapse_words
from reports.output.sentences.control import control_words
from reports.output.sentences.equivalence import equivalence_words
from reports.output.sentences.fixed_recipe import recipe_words
from reports.output.sentences.limits import ceiling_words, limits, method_words
from reports.output.sentences.looks import batch_words, extension, look_words
from reports.output.sentences.per_image import image_words
from reports.output.sentences.records import mixed_words, partial
from reports.output.sentences.tuning import compute_match, fairness_words
from reports.output.sentences.verdict import headline, short_verdict
from reports.statistics import (
    aggregates,
    batches,
    collapse,
    comparable,
    control,
    endings,
    equivalence,
    fairness,
    fixed_recipe,
    gain,
    hierarchy,
    hyperparameters,
    per_image,
    pooled,
    scaling,
    transfer,
    trend,
)
from reports.statistics.capacity import MEASURES, Measure, kind_of, with_capacity
from reports.statistics.decision import look_of
from reports.statistics.lines_rule import Lines
from reports.statistics.looks import Level
from reports.statistics.selection import Selection, select
from reports.store.registration import Registration
from reports.store.schema import EVALUATIONS


@dataclass(frozen=True)
class Gains:
    """The gain at each width.

    `gain`, `collapse`, `aggregates` and `transfer` describe the frames.
    """

    pairs: pd.DataFrame
    unpaired: pd.DataFrame
    table: pd.DataFrame
    accuracies: pd.DataFrame
    collapsed: pd.DataFrame
    aggregates: pd.DataFrame
    transfer: pd.DataFrame


@dataclass(frozen=True)
class Trends:
    """The gain against capacity; `trend`, `pooled` and `hierarchy` describe the frames."""

    lines: pd.DataFrame
    log_odds_lines: pd.DataFrame
    pooled: pd.DataFrame
    log_odds_pooled: pd.DataFrame
    second_opinions: pd.DataFrame


@dataclass(frozen=True)
class Capacity:
    """Accuracy against capacity; `equivalence` and `scaling` describe the frames."""

    equivalence: pd.DataFrame
    """In the measure that orders the lines."""
    parameters_equivalence: pd.DataFrame
    flops_equivalence: pd.DataFrame
    scaling: pd.DataFrame
    residuals: pd.DataFrame


@dataclass(frozen=True)
class Tuning:
    """The searches and how trials ended.

    `fairness`, `comparable`, `hyperparameters` and `endings` describe the frames.
    """

    searches: pd.DataFrame
    curves: pd.DataFrame
    budgets: pd.DataFrame
    unequal: pd.DataFrame
    mixed: pd.DataFrame
    chosen: pd.DataFrame
    chosen_by_search: pd.DataFrame
    importances: pd.DataFrame
    endings: pd.DataFrame
    errors: pd.DataFrame


@dataclass(frozen=True)
class Sentences:
    """The findings in words."""

    verdicts: list[str]
    """The verdict on each arm, with one number."""
    headlines: list[str]
    """The same with all its numbers."""
    limits: list[str]
    """What the results cannot show, and what is missing."""
    compute: str
    equivalence: str
    images: list[str]
    """What other test images would change, and which classes gain."""
    control: list[str]
    """What mixing brings beyond extra compute."""
    recipe: list[str]
    """How much of a trend the tuning explains."""
    fairness: list[str]


@dataclass(frozen=True)
class Findings:
    """The finished frames of one report, and its sentences."""

    name: str
    kind: str
    """What an encoder is called (`kind_of`)."""
    measure: str
    """What capacity is, in words."""
    trials: pd.DataFrame
    selection: Selection
    gains: Gains
    trends: Trends
    capacity: Capacity
    images: per_image.PerImage
    control: control.Control
    recipe: fixed_recipe.FixedRecipe
    tuning: Tuning
    look: Level
    """The level of the look that this report is."""
    registration: Registration | None
    """What was planned for the study, and the looks that were taken."""
    notes: Sequence[str]
    """Sentences on further limits, such as files that could not be read."""

    @cached_property
    def sentences(self) -> Sentences:
        """The findings in words."""
        pooled, extended = self.trends.pooled, extension(self.registration)
        return Sentences(
            verdicts=[short_verdict(row) + extended for _, row in pooled.iterrows()],
            headlines=[headline(row) + extended for _, row in pooled.iterrows()],
            limits=[
                *self.notes,
                *mixed_words(self.tuning.mixed, self.selection.overlaps),
                *partial(self.trials, self.gains.table, self.gains.unpaired),
                *look_words(self.registration, self.look),
                *self._added_seeds(),
                *collapse_words(self.gains.collapsed),
                *limits(self.gains.table, pooled),
                *method_words(self.trends.lines),
                *ceiling_words(pooled, self.trends.log_odds_pooled),
            ],
            compute=compute_match(self.gains.pairs),
            equivalence=equivalence_words(self.capacity.equivalence),
            images=image_words(self.images),
            control=control_words(self.control),
            recipe=recipe_words(self.recipe),
            fairness=fairness_words(self.tuning.searches, self.tuning.unequal),
        )

    def _added_seeds(self) -> list[str]:
        # The seeds stand in the study's file. A small study also runs seed after seed, by plan.
        if self.registration is not None and not self.registration.has_changed:
            return []
        return batch_words(batches.seed_batches(self.selection.confirm))

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that a report exports, by file name without its ending."""
        return {
            "gain": self.gains.table,
            "pairs": self.gains.pairs,
            "accuracy": self.gains.accuracies,
            "collapsed": self.gains.collapsed,
            "trend": self.trends.lines,
            "trend_log_odds": self.trends.log_odds_lines,
            "trend_pooled": self.trends.pooled,
            "trend_pooled_log_odds": self.trends.log_odds_pooled,
            "trend_second_opinions": self.trends.second_opinions,
            "aggregates": self.gains.aggregates,
            "equivalence_parameters": self.capacity.parameters_equivalence,
            "equivalence_flops": self.capacity.flops_equivalence,
            "scaling": self.capacity.scaling,
            "scaling_residuals": self.capacity.residuals,
            "transfer": self.gains.transfer,
            "gain_other_images": self.images.gains,
            "slope_other_images": self.images.slopes,
            "gain_by_class": self.images.classes,
            "gain_beyond_control": self.control.widths,
            "line_beyond_control": self.control.lines,
            "fixed_recipe_gain": self.recipe.gains,
            "fixed_recipe_slope": self.recipe.slopes,
            "searches": self.tuning.searches,
            "budgets": self.tuning.budgets,
            "unequal_budgets": self.tuning.unequal,
            "mixed_runs": self.tuning.mixed,
            "hyperparameters": self.tuning.chosen,
            "importances": self.tuning.importances,
            "endings": self.tuning.endings,
            "errors": self.tuning.errors,
            "unpaired": self.gains.unpaired,
        }


def find(
    trials: pd.DataFrame,
    evaluations: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    registration: Registration | None = None,
    lines: Lines = "auto",
    measure: Measure = "parameters",
) -> Findings:
    """Compute everything that a report says.

    Args:
        trials: the trials table.
        evaluations: the evaluations table, for transfer and for single images; None: no rows.
        notes: sentences on further limits, such as files that could not be read.
        registration: what was planned for the study, and the looks that were taken.
        lines: over which encoders a gain is followed.
        measure: what capacity is.

    Raises:
        InputError: ``lines`` does not fit the trials.
    """
    if evaluations is None:
        evaluations = EVALUATIONS.empty_table().to_pandas()
    trials = with_capacity(trials, lines, measure)
    selection = select(trials)
    gains = _gains(trials, evaluations, selection)
    look = look_of(trials, registration)
    return Findings(
        name=", ".join(sorted({str(s) for s in trials["study"].dropna()} - {""})) or "unnamed",
        kind=kind_of(trials["size"]),
        measure=MEASURES[measure],
        trials=trials,
        selection=selection,
        gains=gains,
        trends=_trends(gains.pairs, look),
        capacity=_capacity(selection, measure),
        images=per_image.per_image(selection, gains.pairs, evaluations),
        control=control.against_control(selection, gains.table),
        recipe=fixed_recipe.fixed_recipe(gains.pairs, trials),
        tuning=_tuning(trials, selection),
        look=look,
        registration=registration,
        notes=notes,
    )


def _gains(trials: pd.DataFrame, evaluations: pd.DataFrame, selection: Selection) -> Gains:
    pairs = gain.pairs(selection)
    return Gains(
        pairs=pairs,
        unpaired=gain.unpaired(trials),
        table=gain.gain_from_pairs(pairs),
        accuracies=gain.accuracy_table(selection),
        collapsed=collapse.collapsed(pairs),
        aggregates=aggregates.aggregates(pairs),
        transfer=transfer.transfer_table(selection, evaluations),
    )


def _trends(pairs: pd.DataFrame, look: Level) -> Trends:
    return Trends(
        lines=trend.trend_table(pairs, look=look),
        log_odds_lines=trend.trend_table(pairs, "logit_gain", look=look),
        pooled=pooled.pooled_trend(pairs, look=look),
        log_odds_pooled=pooled.pooled_trend(pairs, "logit_gain", look=look),
        second_opinions=hierarchy.second_opinions(pairs),
    )


def _capacity(selection: Selection, measure: Measure) -> Capacity:
    by_measure = {name: equivalence.equivalence_table(selection, name) for name in MEASURES}
    fits = scaling.scaling_table(selection)
    return Capacity(
        equivalence=by_measure[measure],
        parameters_equivalence=by_measure["parameters"],
        flops_equivalence=by_measure["flops"],
        scaling=fits,
        residuals=scaling.residual_table(selection, fits),
    )


def _tuning(trials: pd.DataFrame, selection: Selection) -> Tuning:
    chosen = hyperparameters.chosen_table(trials)
    return Tuning(
        searches=fairness.search_table(trials),
        curves=fairness.search_curves(trials),
        budgets=fairness.budget_table(trials),
        unequal=fairness.unequal_budgets(trials),
        mixed=comparable.mixed_runs(selection.confirm),
        chosen=chosen,
        chosen_by_search=hyperparameters.by_search(chosen),
        importances=hyperparameters.importance_table(trials),
        endings=endings.endings_table(trials),
        errors=endings.errors_table(trials),
    )
