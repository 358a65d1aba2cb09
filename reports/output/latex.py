"""Tables for an article in LaTeX, no wider than the article's text.

A table is made to fit in three steps. Columns that say what a row is about and that are the same in
every row are left out; a comment above the table names them for its caption. Text is small, with
little room between columns. If the table is still too wide, its first columns become titles above
groups of rows.

LaTeX's tabular does not break across pages, so a table longer than a page becomes several tabulars.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import groupby

import pandas as pd

TEXT_POINTS = 345.0
"""The width of the text of LaTeX's class article at its default size of 10 points."""
_GAP = 6.0
"""Points between two columns."""
_PAGE_LINES = 40
"""Lines of rows in one tabular: 50 fill a page of that class, and there is a head and a caption."""
TITLES = ("evaluated on", "protocol", "data set", "method", "line", "arm", "control", "encoder")
"""Headings of the columns that may become titles above groups of rows, in this order."""
_DESCRIBE = (
    *TITLES, "phase", "width", "encoders", "lines", "problems", "searches", "search", "seeds",
    "pairs", "runs", "images",
)  # fmt: skip
"""Headings of the columns that say what a row is about."""

_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)  # fmt: skip
_WIDE, _NARROW = frozenset("mwMW+−%@"), frozenset(".,:;ijl|!'() ")


def latex(cells: pd.DataFrame, right: Container[str]) -> str:
    """One or several LaTeX tabulars that need no package but booktabs.

    Args:
        cells: the table, each cell as it is printed.
        right: headings of the columns that are set flush right.
    """
    same = [name for name in cells if name in _DESCRIBE and cells[name].nunique() == 1]
    rest = cells.drop(columns=same)
    above: list[str] = []
    for name in [name for name in TITLES if name in rest]:
        if _points(rest.drop(columns=above)) <= TEXT_POINTS:
            break
        above.append(name)
    shown = rest.drop(columns=above)
    named = ", ".join(f"{name} {cells[name].iloc[0]}" for name in same)
    columns = "".join("r" if name in right else "l" for name in shown)
    pages = list(_pages(rest, above))
    lines = [
        "% \\usepackage{booktabs}",
        *([f"% In all rows: {named}."] if same else []),
        *([f"% {len(pages)} tabulars: one would be taller than a page."] if len(pages) > 1 else []),
    ]
    for number, page in enumerate(pages):
        lines += [
            *([""] if number else []),
            rf"{{\small\setlength{{\tabcolsep}}{{{_GAP / 2:g}pt}}%",
            rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            _row(map(str, shown)),
            r"\midrule",
            *page,
            r"\bottomrule",
            r"\end{tabular}}",
        ]
    return "\n".join(lines) + "\n"


def _points(cells: pd.DataFrame) -> float:
    """The width of the printed table, in points; a little more than what TeX sets."""
    widest = [max(map(_text_points, [name, *cells[name]])) for name in cells]
    return sum(widest) + _GAP * (len(widest) - 1)


def _text_points(text: str) -> float:
    """The width of a text in Computer Modern at 9 points."""
    return sum(7.2 if sign in _WIDE else 2.9 if sign in _NARROW else 4.7 for sign in text)


def _pages(cells: pd.DataFrame, above: list[str]) -> Iterator[list[str]]:
    """The lines of each tabular: rows, in groups that have the same text in the columns ``above``.

    A group that goes on in the next tabular has its title there, too.
    """
    shown = cells.drop(columns=above).itertuples(index=False, name=None)
    titles = cells[above].itertuples(index=False, name=None)
    width = cells.shape[1] - len(above)
    page: list[str] = []
    for title, rows in groupby(zip(titles, shown, strict=True), key=lambda row: row[0]):
        text = ", ".join(title).translate(_ESCAPED)
        head = [rf"\multicolumn{{{width}}}{{@{{}}l}}{{{text}}} \\"] if title else []
        lines = [r"\addlinespace", *head] if page else head
        for _, row in rows:
            if page and len(page) + len(lines) >= _PAGE_LINES:
                yield page
                page, lines = [], head
            page += [*lines, _row(row)]
            lines = []
    yield page


def _row(texts: Iterable[str]) -> str:
    return " & ".join(text.translate(_ESCAPED) for text in texts) + r" \\"
