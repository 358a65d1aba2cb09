"""Figures and tables in the sizes of a paper."""

from __future__ import annotations

import re

import pandas as pd
import pytest
import vl_convert

from reports.output.figures.search import search_figure
from reports.output.figures.style import round_ticks, styled
from reports.output.paper_size import in_points, paper_svg
from reports.output.tables import for_paper


def curves(panels: int, sizes: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "dataset": f"d{panel}", "method": "moco", "encoder": "resnet18", "width": 4 << size,
                "size": f"width {4 << size}", "capacity": 4e4 * 4**size, "arm": arm, "search": 0,
                "trial": trial, "best": 50.0 + trial + size,
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


def test_a_table_for_a_paper_has_its_interval_in_one_column_and_no_constant_ones() -> None:
    table = pd.DataFrame(
        {
            "dataset": ["a", "b"], "line": ["resnet18"] * 2, "arm": ["mixco"] * 2,
            "slope": [-0.5, 0.25], "low": [-1.0, 0.0], "high": [0.0, 0.5],
        }
    )  # fmt: skip
    short = for_paper(table, "trend")
    assert list(short) == ["data set", "slope", "interval"]
    assert short["interval"].tolist() == ["−1.00 to +0.00", "+0.00 to +0.50"]
    assert list(for_paper(table, "trend_log_odds"))[1] == "log odds per doubling"
    assert for_paper(table, "trend_log_odds")["interval"][0] == "−1.000 to +0.000"
    assert list(for_paper(table.head(1), "trend"))[:3] == ["data set", "line", "arm"]
