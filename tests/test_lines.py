"""Lines over depths and over encoders of several families."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
import pytest

from reports.findings import find
from reports.output.charts import charts_of
from reports.output.figures.gain import gain_figure
from reports.statistics.capacity import with_capacity
from reports.statistics.decision import decide
from reports.statistics.gain import pairs
from reports.statistics.lines_rule import Rule, labels_on, line_names
from reports.statistics.looks import LookPlan
from reports.statistics.pooled import pooled_trend
from reports.statistics.selection import select
from study.lines import next_smaller
from study.looks import due_look
from study.plan import cells
from study.spec import dump_spec, parse_spec
from tests.synthetic_study import Truth, draw_trials
from trainables.errors import InputError

MIXED = {
    4: ("timm:test_vit", 0), 8: ("resnet10", 16), 16: ("timm:convnext_atto", 0),
    32: ("resnet34", 16),
}  # fmt: skip
DEPTHS = {4: ("resnet10", 8), 8: ("resnet18", 8), 16: ("resnet34", 8), 32: ("resnet50", 8)}


def renamed(trials: pd.DataFrame, names: dict[int, tuple[str, int]]) -> pd.DataFrame:
    """The trials with another encoder for each width, of the same size."""
    encoders, widths = zip(*(names[width] for width in trials["width"]), strict=True)
    return trials.assign(encoder=encoders, width=widths)


@pytest.mark.parametrize("names", [MIXED, DEPTHS])
def test_a_line_over_any_encoders_has_the_slope_of_a_line_over_widths_of_their_sizes(
    names: dict[int, tuple[str, int]],
) -> None:
    trials = draw_trials(Truth(methods=("moco",)), np.random.default_rng(1))
    widths, others = (
        pooled_trend(pairs(select(t))).iloc[0] for t in (trials, renamed(trials, names))
    )
    numbers = widths.index.difference(["kind", "deciding_width", "turn"])
    pd.testing.assert_series_equal(widths[numbers], others[numbers])
    assert (widths["kind"], others["kind"]) == ("width", "encoder")
    assert others["verdict"] == "supports"


def test_lines_over_mixed_families_recover_the_true_slope() -> None:
    truth = Truth(methods=("moco",), seeds=4, slope=-0.5)
    rows = [
        pooled_trend(
            pairs(select(renamed(draw_trials(truth, np.random.default_rng(seed)), MIXED))),
            brief=True,
        ).iloc[0]
        for seed in range(8)
    ]
    assert np.mean([row["slope"] for row in rows]) == pytest.approx(truth.slope, abs=0.08)
    assert sum(row["low"] < truth.slope < row["high"] for row in rows) >= 6


def test_a_report_names_its_encoders_in_words_and_figures() -> None:
    trials = draw_trials(Truth(methods=("moco",), tune_trials=2), np.random.default_rng(1))
    found = find(renamed(trials, MIXED))
    (headline,) = found.sentences.headlines
    assert "4 encoders" in headline
    assert "width" not in headline
    gains = gain_figure(
        found.gains.table, found.gains.pairs, found.trends.lines, found.tuning.chosen
    )
    text = str(gains.to_dict(validate=False))
    assert all(f"'size': '{name}'" in text for name in ("test_vit", "resnet10", "convnext_atto"))
    by_flops = find(renamed(trials, MIXED), measure="flops")
    assert "per doubling of the FLOPs" in by_flops.sentences.headlines[0]
    assert "times the FLOPs" in by_flops.sentences.equivalence
    charts = charts_of(by_flops)
    assert "factor in FLOPs" in str(charts["equivalence"])
    assert not {name for name, chart in charts.items() if "parameters of the enc" in str(chart)}


def test_rules_of_lines() -> None:
    sizes = [("resnet10", 8), ("resnet10", 16), ("resnet18", 8), ("timm:test_vit", 0)]

    def lines(rule: object) -> list[str]:
        return list(line_names(sizes, rule).values())  # type: ignore[arg-type]

    assert lines("width") == ["resnet10", "resnet10", "resnet18", "timm:test_vit"]
    assert lines("depth") == ["resnet, width 8", "resnet, width 16", "resnet, width 8", "vit"]
    assert lines("all") == ["all encoders"] * 4
    assert lines("auto") == ["resnet10", "resnet10", "all encoders", "all encoders"]
    groups = {"a": ("resnet10", "timm:test_vit"), "b": ("resnet18",)}
    assert lines(groups) == ["a", "a", "b", "a"]
    assert list(labels_on(line_names(sizes, groups)).values()) == [
        "resnet10, width 8", "resnet10, width 16", "width 8", "test_vit",
    ]  # fmt: skip
    with pytest.raises(InputError, match="lines: resnet18 is in none of the groups"):
        line_names(sizes, {"a": ("resnet10", "timm:test_vit")})


def test_an_encoder_alone_keeps_its_name() -> None:
    frame = pd.DataFrame({"encoder": ["resnet18"] * 2, "width": [4, 8], "parameters": [1, 2]})
    assert set(with_capacity(frame)["line"]) == {"resnet18"}
    assert set(with_capacity(frame.head(1))["line"]) == {"resnet18"}


STUDY = """
name: s
datasets: [digits]
methods: [moco]
encoders: [{encoders}]
base: {{epochs: 1, image_size: 8}}
{more}
"""


def spec_of(encoders: str, more: str = ""):
    return parse_spec(STUDY.format(encoders=encoders, more=more), "study")


def test_models_of_timm_need_no_width_and_stand_beside_resnets() -> None:
    spec = spec_of("resnet10, 'timm:test_vit'", "widths: [4, 8]")
    names = [cell.name for cell in cells(spec) if cell.config.arm == "none"]
    assert names[:2] == ["digits-moco-resnet10-w4-none", "digits-moco-resnet10-w8-none"]
    assert len(names) == 3
    assert "w0-none" in names[2]
    assert [cell.config.width for cell in cells(spec_of("'timm:test_vit'"))] == [0, 0]


@pytest.mark.parametrize(
    ("encoders", "more", "said"),
    [
        ("resnet10", "", "widths: is required, since resnet10 comes in any width"),
        ("'timm:test_vit'", "widths: [8]", "widths: timm:test_vit has no width"),
        ("resnet10", "widths: [0]", "widths: 0 is below 1"),
        (
            "'timm:test_vit'",
            "resources: {cpus: {8: 1}}",
            "cpus: has no number for timm:test_vit",
        ),
        ("resnet10", "widths: [8]\nlines: {a: [resnet18]}", "must name each of the encoders once"),
        ("resnet10", "widths: [8]\nlines: nope", "lines"),
    ],
)
def test_wrong_widths_and_lines_are_one_line(encoders: str, more: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        spec_of(encoders, more)
    assert "\n" not in str(caught.value)


def test_a_look_judges_the_lines_of_the_study() -> None:
    grid = {4: ("resnet10", 8), 8: ("resnet18", 8), 16: ("resnet10", 16), 32: ("resnet18", 16)}
    truth = Truth(methods=("moco",), searches=3, seeds=1, tune_trials=1)
    trials = renamed(draw_trials(truth, np.random.default_rng(2)), grid)
    more = "widths: [8, 16]\nsearches: 3\nuntil: verdict\nmax_searches: 4\nlines: "
    found = {}
    for rule in ("width", "depth"):
        look = due_look(spec_of("resnet10, resnet18", more + rule), 3, trials)
        assert look is not None
        found[rule] = look
    for rule, look in found.items():
        lines = with_capacity(trials, cast("Rule", rule))
        assert look == decide(lines, LookPlan(3, 4))
    assert found["width"].p != found["depth"].p


def test_a_study_with_groups_is_read_back() -> None:
    spec = spec_of("resnet10, resnet18", "widths: [8]\nlines: {a: [resnet10], b: [resnet18]}")
    assert parse_spec(dump_spec(spec), "again") == spec


def test_the_next_smaller_encoder_is_the_one_on_the_line() -> None:
    spec = spec_of("resnet34, resnet10, resnet18", "widths: [8]")
    by_name = {c.config.encoder: c.config for c in cells(spec) if c.config.arm == "mixco"}
    found = {name: next_smaller(spec, config) for name, config in by_name.items()}
    assert found["resnet10"] is None
    assert found["resnet18"] == by_name["resnet10"]
    assert found["resnet34"] == by_name["resnet18"]
    widths = spec_of("resnet10, resnet18", "widths: [4, 16, 8]")
    config = next(c.config for c in cells(widths) if c.config.width == 16)
    smaller = next_smaller(widths, config)
    assert smaller is not None
    assert (smaller.encoder, smaller.width) == (config.encoder, 8)
