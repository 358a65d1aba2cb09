"""Tables as files: CSV and Parquet for programs, LaTeX (booktabs) and Markdown for papers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.output.numbers import span
from trainables.atomic_write import atomic_write

DIGITS = 3
_POINT_DIGITS = 2
_SIGNS = {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$"}
"""Signs that pandas does not escape, and that TeX's text fonts print wrongly or not at all."""

_LINE = ["dataset", "method", "line", "arm"]
_TREND = [
    *_LINE, "widths", "searches", "seeds", "slope", "low", "high", "level", "p_holm", "verdict",
]  # fmt: skip
PAPER = {
    "gain": [
        *_LINE, "encoder", "width", "parameters", "searches", "baseline", "accuracy", "gain", "low",
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
HEADINGS = {
    "dataset": "data set", "baseline": "none", "accuracy": "arm's", "p_holm": "p (Holm)",
    "like_interval": "data sets like these",
}  # fmt: skip
"""What LaTeX and Markdown call a column where the page has other words than its name."""
_IN_POINTS = ("none", "arm's", "gain", "slope")
"""Headings of columns with percent or percentage points, which get two digits after the point."""
_INTERVALS = {"interval": ("low", "high"), "like_interval": ("like_low", "like_high")}


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write every table that has rows as NAME.csv, NAME.parquet, NAME.tex and NAME.md."""
    for name, table in tables.items():
        if table.empty:
            continue
        atomic_write(folder / f"{name}.csv", table.to_csv(index=False).encode())
        atomic_write(folder / f"{name}.parquet", table.to_parquet(index=False))
        short = for_paper(table[PAPER[name]], name) if name in PAPER else table
        atomic_write(folder / f"{name}.tex", latex(short).encode())
        atomic_write(folder / f"{name}.md", markdown(short).encode())


def for_paper(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table ``name`` as a paper prints it: an interval in one column, headings as on the page.

    Of the columns that name the line, those that hold one value in every row are left out.
    """
    short = table.copy()
    in_log_odds = name.endswith("log_odds")
    digits = DIGITS if in_log_odds else _POINT_DIGITS
    for column in ("line", "encoder", "arm"):
        if column in short and len(short) > 1 and short[column].nunique() == 1:
            short = short.drop(columns=column)
    for column, (low, high) in _INTERVALS.items():
        if low in short:
            ends = zip(short[low], short[high], strict=True)
            short[low] = [span(start, end, digits) for start, end in ends]
            short = short.drop(columns=high).rename(columns={low: column})
    slope = {"slope": "log odds per doubling"} if in_log_odds else {}
    return short.rename(columns=HEADINGS | slope)


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table: two or three digits after the point, bars and line ends escaped."""
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
        "\\begin{adjustbox}{max width=\\textwidth}\n"
        f"\\small\\setlength{{\\tabcolsep}}{{4pt}}\n{tabular}\\end{{adjustbox}}\n"
    )


def _tex_signs(value: object) -> str:
    text = str(value)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return text


def _cells(table: pd.DataFrame) -> list[list[str]]:
    digits = [_POINT_DIGITS if name in _IN_POINTS else DIGITS for name in table]
    return [
        [_text(value, after) for value, after in zip(row, digits, strict=True)]
        for row in table.itertuples(index=False)
    ]


def _text(value: object, digits: int) -> str:
    if isinstance(value, float):
        text = f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.4g}"
        return "" if value != value else text.replace("-", "−")
    return "" if value is None or value is pd.NaT else " ".join(str(value).split())
