"""The report as plain lists and numbers, for JSON."""

from __future__ import annotations

import math

import pandas as pd

from reports.findings import Findings


def plain(findings: Findings) -> dict[str, object]:
    """The findings as plain values; None replaces NaN and infinity."""
    return {
        "study": findings.name,
        "verdict": findings.sentences.headlines,
        "limits": findings.sentences.limits,
        "compute": findings.sentences.compute,
        "tables": {name: _records(table) for name, table in findings.tables().items()},
        "superseded": findings.selection.superseded,
        "duplicates": findings.selection.duplicates,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """The rows as plain values; None replaces missing and infinite values."""
    filled = frame.astype(object).where(frame.notna() & ~frame.isin([math.inf, -math.inf]), None)
    return [{str(k): _value(v) for k, v in row.items()} for row in filled.to_dict("records")]


def _value(value: object) -> object:
    return value.item() if hasattr(value, "item") else value
