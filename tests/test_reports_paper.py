"""Figures and tables in the sizes of a paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import vl_convert

from reports.output.figures.search import search_figure
from reports.output.figures.style import round_ticks, styled
from reports.output.latex import TEXT_POINTS, latex
from reports.output.paper_figures import in_points, paper_svg
from reports.output.paper_tables import PAPER, Columns
from reports.output.tables import write_tables


def curves(panels: int, sizes: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "dataset": f"d{panel}", "method": "moco", "encoder": "resnet18", "width": 4 << size,
                "size": f"width {4 << size}", "capacity": 4e4 * 4**size, "arm": arm, "search": 0,
                "trial": trial, "best": 50.0 + trial + size, "study": "made-up",
            }
            for panel in range(panels)
            for size in range(sizes)
            for arm in ("none", "mixco")
            for trial in (1, 2, 3)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(("panels", "inches"), [(1, 3.25), (3, 6.75)])
def test_a_figure_is_as_wide_as_a_column_or_the_text_and_its_text_is_as_high_as_a_papers(
    panels: int, inches: float
) -> None:
    svg = paper_svg(styled(search_figure(curves(panels, 5))).to_dict(validate=False))
    sizes = {int(size) for size in re.findall(r'font-size="(\d+)px"', svg)}
    assert sizes == {11, 12}  # pixels: 8.25 and 9 points
    pdf = vl_convert.svg_to_pdf(in_points(svg))
    box = re.search(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", pdf)
    assert box is not None
    assert float(box[1]) / 72 == pytest.approx(inches, abs=0.05)


def test_each_encoder_of_a_search_has_a_colour_of_its_own() -> None:
    for sizes in (3, 8):
        spec = styled(search_figure(curves(1, sizes))).to_dict(validate=False)
        svg = vl_convert.vegalite_to_svg(spec)
        lines = re.findall(r'aria-roledescription="line mark".*?stroke="([^"]+)"', svg)
        assert len(set(lines)) == sizes


def test_ticks_are_round_and_lie_within_the_axis() -> None:
    assert round_ticks(44_000, 11_000_000) == [1e5, 1e6, 1e7]
    assert round_ticks(44_000, 700_000) == [5e4, 1e5, 2e5, 5e5]
    assert round_ticks(1_000_000, 4_000_000) == [1e6, 1.5e6, 2e6, 3e6, 4e6]
    assert all(900 <= tick <= 1100 for tick in round_ticks(900, 1100))


VALUES = {
    "dataset": ["tiny-imagenet", "cifar100"], "evaluated_on": ["tiny-imagenet", "cifar100"],
    "protocol": ["linear_sgd", "knn"], "method": ["simclr", "moco"],
    "line": ["resnet18", "resnet34"], "arm": ["extra-crop", "mixco"], "control": ["extra-crop"] * 2,
    "encoder": ["resnet18", "resnet34"], "width": [64, 128], "capacity": [44695848.0, 11173962.0],
    "parameters": [44695848, 11173962], "encoder_flops": [1.8e9, 9e8],
    "measure": ["parameters"] * 2,
    "verdict": ["contradicts", "cannot tell"], "range": ["beyond", "below"],
    "hyperparameter": ["mix_temperature", "mix_batch_norm"], "choice": ["0.01234", "separate-both"],
    "phase": ["confirm", "tune"], "seed": [10001, 10002], "images": [10000, 500],
    "flops": [1.23e18, 4.56e17],
}  # fmt: skip
"""Two rows that differ in every column and are about as wide as results become."""


def wide_table(columns: Columns) -> pd.DataFrame:
    """Two wide rows with the columns that ``columns`` print."""
    names = {name for kind in columns.values() for name in kind.split()[1:]} | {"measure"}
    values = {name: VALUES.get(name, [12.3456, -12.3456]) for name in sorted(names)}
    if "range" in names:
        values |= {"low": [0.0, 12.34], "high": [float("inf"), float("inf")]}
    return pd.DataFrame(values)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_every_table_for_a_paper_fits_the_text_of_an_article(tmp_path: Path) -> None:
    write_tables({name: wide_table(columns) for name, columns in PAPER.items()}, tmp_path)
    long = {"searches": pd.concat([wide_table(PAPER["searches"])] * 75)}  # 150 groups of a row
    write_tables(long, tmp_path / "long")
    measured = "".join(
        f"\\sbox0{{\\input{{{name}}}}}\\typeout{{{name} is \\the\\wd0}}\n" for name in PAPER
    )
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        f"{measured}\\typeout{{text is \\the\\textwidth}}\n\\input{{gain}}\n"
        "\\input{long/searches}\n\\end{document}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    widths = {
        name: float(width) for name, width in re.findall(r"(\w+) is ([0-9.]+)pt", done.stdout)
    }
    assert widths.pop("text") == TEXT_POINTS
    assert set(widths) == set(PAPER)
    assert {name: width for name, width in widths.items() if width > TEXT_POINTS} == {}
    assert min(widths.values()) > 50
    assert "Overfull \\vbox" not in done.stdout


def test_a_table_leaves_out_what_is_the_same_in_all_rows_and_names_it() -> None:
    table = pd.DataFrame(
        {"data set": ["a_b", "c"], "arm": ["mixco", "mixco"], "gain": ["−0.50", "+0.25"]}
    )
    assert latex(table, ["gain"]).splitlines() == [
        r"% \usepackage{booktabs}",
        "% In all rows: arm mixco.",
        r"{\small\setlength{\tabcolsep}{3pt}%",
        r"\begin{tabular}{@{}lr@{}}",
        r"\toprule",
        r"data set & gain \\",
        r"\midrule",
        r"a\_b & $-$0.50 \\",
        r"c & +0.25 \\",
        r"\bottomrule",
        r"\end{tabular}}",
    ]


def test_what_a_wide_table_is_about_stands_above_its_rows() -> None:
    names = [f"{'long ' * 20}{letter}" for letter in "aab"]
    table = pd.DataFrame({"data set": names, "method": ["x", "y", "x"], "gain": ["1", "2", "3"]})
    body = latex(table, ["gain"]).split("\\midrule\n")[1].split("\n\\bottomrule")[0]
    assert body.splitlines() == [
        rf"\multicolumn{{2}}{{@{{}}l}}{{{names[0]}}} \\",
        r"x & 1 \\",
        r"y & 2 \\",
        r"\addlinespace",
        rf"\multicolumn{{2}}{{@{{}}l}}{{{names[2]}}} \\",
        r"x & 3 \\",
    ]


@pytest.mark.parametrize("sizes", [[36, 1], [37, 1], [20, 60, 1], [1] * 90])
def test_a_long_table_becomes_several_that_fit_a_page(sizes: list[int]) -> None:
    titled = pd.DataFrame(
        {
            "data set": [
                f"{'long ' * 20}{group}" for group, size in enumerate(sizes) for _ in range(size)
            ],
            "gain": [f"{number}" for number in range(sum(sizes))],
        }
    )
    text = latex(titled, ["gain"])
    pages = [part.split("\n\\bottomrule")[0].splitlines() for part in text.split("\\midrule\n")[1:]]
    found, title = [], ""
    for page in pages:
        assert len(page) <= 45  # of the 50 lines of a page; the head takes some
        assert page[0].startswith("\\multicolumn")
        assert not page[-1].startswith(("\\multicolumn", "\\addlinespace"))
        for line in page:
            if line.startswith("\\multicolumn"):
                title = line.split("{")[-1].split("}")[0]
            elif line != "\\addlinespace":
                found.append([title, line.removesuffix(" \\\\")])
    assert found == titled.to_numpy().tolist()
    assert (f"% {len(pages)} tabulars" in text) == (len(pages) > 1)


def test_columns_are_called_and_printed_as_on_the_page(tmp_path: Path) -> None:
    table = wide_table(PAPER["gain"]).assign(measure="FLOPs", low=-1.0, high=0.0)
    write_tables({"gain": table}, tmp_path)
    header, _, first, _ = (tmp_path / "gain.md").read_text().splitlines()
    assert header.split(" | ")[6:] == [
        "FLOPs", "searches", "none", "arm's", "gain", "95 % interval", "p |",
    ]  # fmt: skip
    assert first.split(" | ")[6] == "44695848"
    assert first.split(" | ")[-3:-1] == ["+12.35", "−1.00 to +0.00"]
