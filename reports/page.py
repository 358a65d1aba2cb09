"""The HTML report: one self-contained file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from reports import figures, words
from reports.findings import Findings

TEMPLATES = Path(__file__).parent / "templates"


def render(findings: Findings) -> str:
    """The page as text: styles, data, figures and the libraries that draw them are all inside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "signed": words.signed,
        "probability": words.probability,
    }
    environment.globals["span"] = words.span
    charts = charts_of(findings)
    return environment.get_template("page.html.j2").render(
        findings=findings,
        figures=list(charts),
        specs=script_json({name: chart.to_dict() for name, chart in charts.items()}),
        library=Markup(_library()) if charts else "",
        style=Markup((TEMPLATES / "page.css").read_text()),
        script=Markup((TEMPLATES / "page.js").read_text()),
    )


def charts_of(findings: Findings) -> dict[str, Any]:
    """Every figure of the report by its file name, styled."""
    charts: dict[str, Any] = {}
    if not findings.gains.empty:
        charts["gain"] = figures.gain_figure(findings.gains, findings.pairs, findings.trends)
    return {name: figures.styled(chart) for name, chart in charts.items()}


def script_json(value: object) -> Markup:
    """JSON that may stand inside a script element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one script."""
    return str(vl_convert.javascript_bundle()).replace("</script", "<\\/script")  # type: ignore[call-arg]
