"""The HTML report: one self-contained file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from reports.findings import Findings
from reports.output.cells import cell, is_text
from reports.output.embed import library, script_json
from reports.output.paper_tables import LOG_ODDS, PAPER, paper_columns
from reports.provenance import provenance

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
        other: the second study of a comparison, which the page also shows.
        comparison: `compare.compare_gains` of the two.
        spec: the text of the study's file, with which a reader can repeat the study.
        packages: names and versions of the packages with which the trials ran.
        refresh: seconds after which a browser loads the page again; 0 for never.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {
        "cell": cell,
        "is_text": is_text,
        "LOG_ODDS": LOG_ODDS,
        "PAPER": PAPER,
        "paper_columns": paper_columns,
    }
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
