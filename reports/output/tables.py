"""Tables as files: CSV and Parquet for programs, LaTeX (booktabs) and Markdown for papers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from trainables.atomic_write import atomic_write

DIGITS = 3
_SIGNS = {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$"}
"""Signs that pandas does not escape, and that TeX's text fonts print wrongly or not at all."""

_LINE = ["dataset", "method", "line", "arm"]
_TREND = [
    *_LINE, "widths", "searches", "seeds", "slope", "low", "high", "level", "p_holm", "verdict",
]  # fmt: skip
PAPER = {
    "gain": [
        *_LINE, "encoder", "width", "parameters", "searches", "pairs", "baseline", "accuracy",
        "gain", "low",
        "high", "p",
    ],
    "trend": _TREND,
    "trend_log_odds": _TREND,
    "trend_pooled": [
        "arm", "datasets", "lines", "searches", "slope", "low", "high", "level", "p_holm",
        "like_low", "like_high", "verdict",
    ],
    "trend_pooled_log_odds": ["arm", "datasets", "lines", "slope", "low", "high", "p_holm"],
    "transfer": [
        "evaluated_on", "protocol", *_LINE, "encoder", "width", "pairs", "baseline", "accuracy",
        "gain", "low", "high", "p",
    ],
    "pairs": [*_LINE, "encoder", "width", "search", "seed", "baseline", "accuracy", "gain"],
}  # fmt: skip
"""The columns of wide tables that LaTeX and Markdown get, so that they fit a page. CSV and Parquet
have all columns."""


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write every table that has rows as NAME.csv, NAME.parquet, NAME.tex and NAME.md."""
    for name, table in tables.items():
        if table.empty:
            continue
        atomic_write(folder / f"{name}.csv", table.to_csv(index=False).encode())
        atomic_write(folder / f"{name}.parquet", table.to_parquet(index=False))
        short = table[PAPER.get(name, list(table))]
        atomic_write(folder / f"{name}.tex", latex(short).encode())
        atomic_write(folder / f"{name}.md", markdown(short).encode())


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table: three digits after the point, bars and line ends escaped."""
    cells = [[text.replace("|", "\\|") for text in row] for row in _cells(table)]
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    header = [str(name) for name in table]
    rule = ["---:" if right else "---" for right in numeric]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, rule, *cells])


def latex(table: pd.DataFrame) -> str:
    """A LaTeX tabular with booktabs' rules, at most as wide as the text.

    Signs that mean something to TeX are escaped.
    """
    columns = "".join("r" if pd.api.types.is_numeric_dtype(table[name]) else "l" for name in table)
    header = [str(name).replace("_", " ") for name in table]
    texts = pd.DataFrame(_cells(table), columns=header, dtype=object)
    style = texts.style.hide(axis="index").format(_tex_signs, escape="latex")
    style = style.format_index(_tex_signs, escape="latex", axis="columns")
    tabular = style.to_latex(column_format=columns, hrules=True)
    return (
        "% \\usepackage{booktabs,adjustbox}\n"
        f"\\begin{{adjustbox}}{{max width=\\textwidth}}\n{tabular}\\end{{adjustbox}}\n"
    )


def _tex_signs(value: object) -> str:
    text = str(value)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return text


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [[_text(value) for value in row] for row in table.itertuples(index=False)]


def _text(value: object) -> str:
    if isinstance(value, float):
        text = f"{value:.{DIGITS}f}" if abs(value) < 1e6 else f"{value:.4g}"
        return "" if value != value else text.replace("-", "−")
    return "" if value is None or value is pd.NaT else " ".join(str(value).split())
