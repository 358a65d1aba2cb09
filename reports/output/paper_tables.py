"""What the tables of a paper show: the headings and formats of their columns.

The page has columns of its own, which fit a screen; the two share what is the same in both.
"""

from __future__ import annotations

import pandas as pd

Columns = dict[str, str]
"""Headings to kinds of `cells.cell`."""
CAPACITY = "capacity"
"""Stands for the measure of capacity in a heading."""

_METHOD_ARM: Columns = {"method": "text method", "arm": "text arm"}
_LINE: Columns = {
    "data set": "text dataset", "method": "text method", "line": "text line", "arm": "text arm",
}  # fmt: skip
_SIZE: Columns = {"encoder": "text encoder", "width": "width width"}
_OF_ENCODER: Columns = {"data set": "text dataset", **_METHOD_ARM, **_SIZE}
_INTERVAL: Columns = {"95 % interval": "span low high"}
_GAIN: Columns = {
    "none": ".2f baseline", "arm's": ".2f accuracy", "gain": "signed gain", **_INTERVAL,
    "p": "p p",
}  # fmt: skip
LOG_ODDS: Columns = {
    "log odds per doubling": "+.3f slope", "from": "+.3f low", "to": "+.3f high",
    "p (Holm)": "p p_holm", "claim": "text verdict",
}  # fmt: skip
_FACTOR: Columns = {
    "factor": ".2f factor", "range": "text range", "95 % interval": "factors low high",
}  # fmt: skip
_IMAGES: Columns = {"these images": "span runs_low runs_high", "other images": "span low high"}
_FIXED: Columns = {
    "fixed recipe": "signed fixed",
    "95 % interval": "span fixed_low fixed_high", "tuned": "signed tuned",
    "tuning explains": "signed tuning", "95 % ": "span tuning_low tuning_high",
}  # fmt: skip
_GPU_HOURS = "GPU-hours"

PAPER: dict[str, Columns] = {
    "gain": {
        **_LINE, **_SIZE, CAPACITY: ".0f capacity", "searches": "d searches", **_GAIN,
    },
    "pairs": {
        **_LINE, **_SIZE, "search": "d search", "seed": "d seed", "none": ".2f baseline",
        "arm's": ".2f accuracy", "gain": "signed gain",
    },
    "accuracy": {
        **_LINE, **_SIZE, CAPACITY: ".0f capacity", "searches": "d searches", "seeds": "d seeds",
        "accuracy": ".2f accuracy", "from": ".2f low", "to": ".2f high",
    },
    "trend": {
        **_LINE, "encoders": "d widths", "searches": "d searches", "seeds": "d seeds",
        "slope": "signed slope", "interval": "span low high", "p (Holm)": "p p_holm",
        "claim": "text verdict",
    },
    "trend_log_odds": {**_LINE, "encoders": "d widths", **LOG_ODDS},
    "trend_pooled": {
        "arm": "text arm", "lines": "d lines", "slope": "signed slope",
        "interval": "span low high", "p (Holm)": "p p_holm",
        "data sets like these": "span like_low like_high", "claim": "text verdict",
    },
    "trend_pooled_log_odds": {"arm": "text arm", "lines": "d lines", **LOG_ODDS},
    "trend_second_opinions": {
        "second opinion": "text method", "arm": "text arm", "slope": "signed slope", **_INTERVAL,
    },
    "aggregates": {
        **_METHOD_ARM, "problems": "d problems", "interquartile mean": "signed iqm",
        "95 % interval": "span iqm_low iqm_high", "P(improvement)": ".2f improvement",
        "from": ".2f improvement_low", "to": ".2f improvement_high",
    },
    "equivalence_parameters": {**_OF_ENCODER, "parameters": ".0f parameters", **_FACTOR},
    "equivalence_flops": {**_OF_ENCODER, "FLOPs": ".0f encoder_flops", **_FACTOR},
    "scaling": {
        **_LINE, "encoders": "d widths", "exponent b": ".3f exponent", "from": ".3f low",
        "to": ".3f high", "residual": ".2f residual",
    },
    "transfer": {
        "evaluated on": "text evaluated_on", "protocol": "text protocol", **_LINE, **_SIZE,
        "pairs": "d pairs", **_GAIN,
    },
    "gain_other_images": {
        **_OF_ENCODER, "runs": "d runs", "images": "d images", "gain": "signed gain", **_IMAGES,
    },
    "slope_other_images": {
        **_LINE, "runs": "d runs", "images": "d images", "slope": "signed slope", **_IMAGES,
    },
    "gain_by_class": {
        **_LINE, "class": "d class", "images": "d images", "gain": "signed gain", **_IMAGES,
    },
    "gain_beyond_control": {
        **_OF_ENCODER, "control": "text control", "pairs": "d pairs", "gain": "signed gain",
        "control's gain": "signed control_gain", "arm − control": "signed beyond", **_INTERVAL,
        "p": "p p",
    },
    "line_beyond_control": {
        **_LINE, "control": "text control", "arm − control": "signed beyond", **_INTERVAL,
    },
    "fixed_recipe_gain": {**_OF_ENCODER, **_FIXED},
    "fixed_recipe_slope": {**_LINE, **_FIXED},
    "hyperparameters": {
        **_OF_ENCODER, "search": "d search", "hyperparameter": "text hyperparameter",
        "chosen": "text choice",
    },
    "budgets": {
        **_METHOD_ARM, "phase": "text phase", "trials": "d trials", "epochs": ",d epochs",
        "FLOPs": ".3g flops", "over none's": ".3f flops_ratio", "hours": ".2f hours",
        _GPU_HOURS: ".2f gpu_hours",
    },
    "scaling_residuals": {
        **_LINE, **_SIZE, CAPACITY: ".0f capacity", "error": ".2f error", "fitted": ".2f fitted",
        "residual": "signed residual",
    },
    "searches": {
        **_OF_ENCODER, "search": "d search", "trials": "d trials", "first trial": ".2f first",
        "best": ".2f best", "lift": "signed lift", "found at": "d found_at",
    },
    "importances": {
        **_OF_ENCODER, "hyperparameter": "text hyperparameter", "importance": ".2f importance",
    },
    "endings": {
        **_METHOD_ARM, **_SIZE, "complete": "d complete", "pruned": "d pruned",
        "diverged": "d diverged", "failed": "d failed", "diverged, %": ".1f diverged_share",
    },
}  # fmt: skip
"""The tables that LaTeX and Markdown get with these columns. CSV and Parquet have all columns."""


def paper_columns(name: str, table: pd.DataFrame) -> Columns:
    """The columns of `PAPER` for one table.

    The heading of the capacity is its measure. A column of GPU-hours is left out where no trial
    used a GPU.
    """
    columns = PAPER[name]
    if CAPACITY in columns:
        measure = str(table["measure"].iloc[0])
        return {measure if key == CAPACITY else key: kind for key, kind in columns.items()}
    if _GPU_HOURS in columns and not table["gpu_hours"].any():
        return {key: kind for key, kind in columns.items() if key != _GPU_HOURS}
    return columns
