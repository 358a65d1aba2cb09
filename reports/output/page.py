"""The HTML report: one self-contained file."""

from __future__ import annotations

import contextlib
import json
import math
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from reports.findings import Findings
from reports.output import figures, words
from reports.provenance import provenance
from trainables.atomic_write import atomic_write

TEMPLATES = Path(__file__).parent / "templates"


def render(
    findings: Findings,
    charts: dict[str, Any],
    other: Findings | None = None,
    comparison: pd.DataFrame | None = None,
    spec: str = "",
    packages: str = "",
    refresh: int = 0,
) -> str:
    """The page as text: styles, data, figures and the libraries that draw them are all inside.

    Args:
        findings: what is reported.
        charts: `charts_of` the findings and the second study's.
        other: a second study, shown beside the first.
        comparison: `compare.compare_gains` of the two.
        spec: the study's file, to repeat it.
        packages: versions of what the trials ran with.
        refresh: seconds after which a browser loads the page again; 0 for never.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["cell"] = cell
    return environment.get_template("page.html.j2").render(
        findings=findings,
        other=other,
        comparison=comparison,
        spec=spec,
        refresh=refresh,
        provenance=provenance(findings.trials) + ([("packages", packages)] if packages else []),
        figures=set(charts),
        specs=script_json(charts),
        library=Markup(library()) if charts else "",
        style=Markup((TEMPLATES / "page.css").read_text()),
        script=Markup((TEMPLATES / "page.js").read_text()),
    )


def cell(row: dict[str, Any], kind: str) -> str:
    """One cell's text. ``kind`` is a format and the columns it shows, as in ``span low high``."""
    style, *names = kind.split()
    values = [row[name] for name in names]
    if style == "text":
        return "" if values[0] is None or values[0] != values[0] else str(values[0])
    if style == "yes":
        return "yes" if values[0] else ""
    if style == "span":
        return words.span(*values)
    if style == "factors":
        return words.factor_span(*values)
    if style == "needed":
        return words.needed(float(values[0]))
    value = float(values[0])
    if style == "p":
        return words.probability(value)
    if style == "signed":
        return words.signed(value)
    if not math.isfinite(value):
        return "–"
    return format(int(value) if style.endswith("d") else value, style).replace("-", "−")


def charts_of(findings: Findings, other: Findings | None = None) -> dict[str, Any]:
    """Every figure of the report by its file name, as a styled Vega-Lite specification.

    Figures without data are left out; ``comparison`` is there with a second study only.
    """
    charts: dict[str, Any] = {}
    if not findings.gains.empty:
        charts["gain"] = figures.gain_figure(
            findings.gains, findings.pairs, findings.trends, findings.chosen
        )
    if not findings.accuracies.empty:
        charts["accuracy"] = figures.accuracy_figure(findings.accuracies)
    if not findings.residuals.empty:
        charts["scaling"] = figures.scaling_figure(findings.residuals)
    if not findings.equivalence.empty:
        charts["equivalence"] = figures.equivalence_figure(findings.equivalence)
    if findings.search_curves["best"].notna().any():
        charts["search"] = figures.search_figure(findings.search_curves)
    if (findings.chosen["value"] > 0).any():
        charts["hyperparameters"] = figures.hyperparameter_figure(findings.chosen)
    if other is not None and not (findings.gains.empty or other.gains.empty):
        # A study may be compared with an earlier run of its own.
        name = f"{other.name} (there)" if other.name == findings.name else other.name
        charts["comparison"] = figures.comparison_figure(
            findings.gains.assign(study=findings.name), other.gains.assign(study=name)
        )
    return {name: figures.styled(chart).to_dict(validate=False) for name, chart in charts.items()}


def write_figures(charts: dict[str, Any], folder: Path) -> None:
    """Write every figure as NAME.svg, NAME.pdf and NAME.png."""
    for name, spec in charts.items():
        vega = vl_convert.vegalite_to_vega(spec)
        svg = vl_convert.vega_to_svg(vega)
        atomic_write(folder / f"{name}.svg", svg.encode())
        atomic_write(folder / f"{name}.pdf", vl_convert.svg_to_pdf(svg))
        atomic_write(folder / f"{name}.png", vl_convert.svg_to_png(svg, scale=2.0))


def script_json(value: object) -> Markup:
    """JSON that may stand inside a script element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@cache
def library() -> str:
    """Vega, Vega-Lite and vega-embed as one script.

    Bundling takes seconds, so the script is kept in the user's cache, for this version of
    vl-convert.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixco-study"
    kept = home / f"vega-{version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    script = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]
    script = script.replace("</script", "<\\/script")
    with contextlib.suppress(OSError):  # Without the cache the next report takes seconds longer.
        atomic_write(kept, script.encode())
    return script
