"""Every figure of a report, as Vega-Lite specifications and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vl_convert

from reports.findings import Findings
from reports.output.figures.accuracy import accuracy_figure, scaling_figure
from reports.output.figures.classes import class_figure
from reports.output.figures.equivalence import equivalence_figure
from reports.output.figures.gain import comparison_figure, gain_figure
from reports.output.figures.search import hyperparameter_figure, search_figure
from reports.output.figures.style import styled
from reports.output.paper_figures import in_points, paper_svg
from trainables.atomic_write import atomic_write


def charts_of(findings: Findings, other: Findings | None = None) -> dict[str, Any]:
    """Every figure of the report by its file name, as a styled Vega-Lite specification.

    Figures without data are left out, and ``comparison`` if there is no second study.
    """
    charts: dict[str, Any] = {}
    if not findings.gains.table.empty:
        charts["gain"] = gain_figure(
            findings.gains.table,
            findings.gains.pairs,
            findings.trends.lines,
            findings.tuning.chosen,
        )
    if not findings.gains.accuracies.empty:
        charts["accuracy"] = accuracy_figure(findings.gains.accuracies)
    if not findings.capacity.residuals.empty:
        charts["scaling"] = scaling_figure(findings.capacity.residuals)
    if not findings.capacity.equivalence.empty:
        charts["equivalence"] = equivalence_figure(findings.capacity.equivalence)
    if not findings.images.classes.empty:
        charts["classes"] = class_figure(findings.images.classes)
    if findings.tuning.curves["best"].notna().any():
        charts["search"] = search_figure(findings.tuning.curves)
    if (findings.tuning.chosen["value"] > 0).any():
        charts["hyperparameters"] = hyperparameter_figure(findings.tuning.chosen)
    if other is not None and not (findings.gains.table.empty or other.gains.table.empty):
        # A study may be compared with an earlier run of the same study.
        name = f"{other.name} (compared)" if other.name == findings.name else other.name
        charts["comparison"] = comparison_figure(
            findings.gains.table.assign(study=findings.name), other.gains.table.assign(study=name)
        )
    return {name: styled(chart).to_dict(validate=False) for name, chart in charts.items()}


def write_figures(charts: dict[str, Any], folder: Path) -> None:
    """Write every figure as NAME.svg, NAME.pdf and NAME.png, as wide as a paper needs it."""
    for name, spec in charts.items():
        svg = paper_svg(spec)
        atomic_write(folder / f"{name}.svg", svg.encode())
        atomic_write(folder / f"{name}.pdf", vl_convert.svg_to_pdf(in_points(svg)))
        atomic_write(folder / f"{name}.png", vl_convert.svg_to_png(svg, scale=4.0))
