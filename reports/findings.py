"""All numbers of a report, computed once: the page, the tables and the terminal only show them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reports import aggregate, gain, trend, words
from reports.selection import Selection, select


@dataclass(frozen=True)
class Findings:
    """Finished frames and sentences of one report."""

    name: str
    trials: pd.DataFrame
    selection: Selection
    pairs: pd.DataFrame
    unpaired: pd.DataFrame
    gains: pd.DataFrame
    trends: pd.DataFrame
    pooled: pd.DataFrame
    headlines: list[str]
    limits: list[str]
    compute: str


def find(trials: pd.DataFrame) -> Findings:
    """Everything a report says, from the trials table."""
    selection = select(trials)
    pairs = gain.pairs(selection)
    gains = gain.gain_from_pairs(pairs)
    pooled = aggregate.pooled_trend(pairs)
    return Findings(
        name=", ".join(sorted({str(s) for s in trials["study"].dropna()} - {""})) or "unnamed",
        trials=trials,
        selection=selection,
        pairs=pairs,
        unpaired=gain.unpaired(trials),
        gains=gains,
        trends=trend.trend_table(pairs),
        pooled=pooled,
        headlines=[words.headline(row) for _, row in pooled.iterrows()],
        limits=words.limits(gains, pooled),
        compute=words.compute_match(pairs),
    )


def as_json(findings: Findings) -> dict[str, object]:
    """The report for programs: plain lists and numbers, null where there is no number."""
    return {
        "study": findings.name,
        "verdict": findings.headlines,
        "limits": findings.limits,
        "compute": findings.compute,
        "gains": records(findings.gains),
        "trends": records(findings.trends),
        "pooled": records(findings.pooled),
        "unpaired": records(findings.unpaired),
        "superseded": findings.selection.superseded,
        "duplicates": findings.selection.duplicates,
    }


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain values, with None for what is not a number."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(k): _plain(v) for k, v in row.items()} for row in plain.to_dict("records")]


def _plain(value: object) -> object:
    return value.item() if hasattr(value, "item") else value
