"""Tables as files: CSV and Parquet for programs, LaTeX and Markdown for papers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.output.cells import cell, is_text
from reports.output.latex import latex
from reports.output.paper_tables import PAPER, Columns, paper_columns
from trainables.atomic_write import atomic_write


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write every table that has rows as NAME.csv, NAME.parquet and NAME.md.

    Tables that a paper may print (`PAPER`) are also written as NAME.tex.
    """
    for name, table in tables.items():
        if table.empty:
            continue
        atomic_write(folder / f"{name}.csv", table.to_csv(index=False).encode())
        atomic_write(folder / f"{name}.parquet", table.to_parquet(index=False))
        columns = paper_columns(name, table) if name in PAPER else _all_columns(table)
        printed = as_printed(table, columns)
        right = [heading for heading, kind in columns.items() if not is_text(kind)]
        atomic_write(folder / f"{name}.md", markdown(printed, right).encode())
        if name in PAPER:
            atomic_write(folder / f"{name}.tex", latex(printed, right).encode())


def as_printed(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The cells of ``table`` as text, in ``columns`` and under their headings."""
    rows = table.to_dict("records")
    cells = {
        heading: [_one_line(cell(row, kind)) for row in rows] for heading, kind in columns.items()
    }
    return pd.DataFrame(cells, dtype=object)


def markdown(cells: pd.DataFrame, right: list[str]) -> str:
    """A Markdown table of cells that are printed already; bars are escaped.

    Args:
        cells: the table, each cell as it is printed.
        right: headings of the columns that are set flush right.
    """
    rows = [[text.replace("|", "\\|") for text in row] for row in cells.itertuples(index=False)]
    rule = ["---:" if name in right else "---" for name in cells]
    return "".join(f"| {' | '.join(row)} |\n" for row in [[*map(str, cells)], rule, *rows])


def _all_columns(table: pd.DataFrame) -> Columns:
    """Every column under its own name."""
    return {
        str(name): f"{'.3f' if pd.api.types.is_float_dtype(table[name]) else 'text'} {name}"
        for name in table
    }


def _one_line(text: str) -> str:
    return " ".join(text.split())
