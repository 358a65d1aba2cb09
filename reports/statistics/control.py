"""Mixing against extra compute: gains over a control arm that does the same work without mixing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from reports.statistics.capacity import SIZE, kind_of
from reports.statistics.gain import WIDTH, gain_from_pairs, pairs
from reports.statistics.intervals import t_interval
from reports.statistics.selection import BASELINE, LINE, LINE_ARM, Selection
from reports.statistics.units import UNIT, by_unit
from trainables.arms import ARMS

WIDTHS = [*WIDTH, "control", "pairs", "gain", "control_gain", "beyond", "low", "high", "p"]
LINES = [*LINE_ARM, "control", "kind", "widths", "units", "beyond", "low", "high"]


@dataclass(frozen=True)
class Control:
    """What a mixing arm gains beyond a control: its gain minus the control's, paired.

    Attributes:
        widths: by line, arm, width and control: ``pairs`` (their number), ``gain`` and
            ``control_gain`` (mean gains over the baseline, of all their own pairs), ``beyond``
            (mean difference of the paired accuracies, points) with ``low`` and ``high`` (95 %) and
            ``p``, as `gain.gain_table` computes them.
        lines: by line, arm and control: ``kind`` (`capacity.kind_of`), ``widths`` and ``units``
            (numbers), ``beyond`` (mean over widths, of the units that have every width), ``low``
            and ``high`` (Student's 95 %).
    """

    widths: pd.DataFrame
    lines: pd.DataFrame


def is_control(arm: str) -> bool:
    """Whether an arm is a control; an arm that is not installed here counts as none."""
    return arm in ARMS and ARMS.find(arm).is_control


def against_control(selection: Selection, gains: pd.DataFrame) -> Control:
    """Every mixing arm against every control of the same line and width.

    Args:
        selection: the confirm rows that count.
        gains: `gain.gain_table` of it.
    """
    arms = sorted(set(selection.confirm["arm"]))
    widths, lines = [pd.DataFrame(columns=WIDTHS)], []
    for control in filter(is_control, arms):
        over = _pairs_over(selection, control)
        if over.empty:
            continue
        widths.append(_by_width(over, gains, control))
        for key, line in by_unit(over).groupby(LINE_ARM, sort=True):
            units = line.pivot(index=UNIT, columns=SIZE, values="gain").dropna()
            means = units.mean(axis=1).to_numpy(float)
            low, high = t_interval(means)
            mean = means.mean() if len(means) else float("nan")
            kind = kind_of(line["size"])
            lines.append((*key, control, kind, units.shape[1], len(means), mean, low, high))
    tables = [table for table in widths if not table.empty] or widths
    return Control(pd.concat(tables, ignore_index=True), pd.DataFrame(lines, columns=LINES))


def _pairs_over(selection: Selection, control: str) -> pd.DataFrame:
    """`gain.pairs` with the control in the place of the baseline, of the arms that mix."""
    confirm = selection.confirm
    others = confirm["arm"].map(lambda arm: arm == BASELINE or is_control(arm))
    rows = confirm[~others.astype(bool) | (confirm["arm"] == control)]
    rows = rows.assign(arm=rows["arm"].replace(control, BASELINE))
    return pairs(replace(selection, confirm=rows))


def _by_width(over: pd.DataFrame, gains: pd.DataFrame, control: str) -> pd.DataFrame:
    beyond = gain_from_pairs(over)[[*WIDTH, "pairs", "gain", "low", "high", "p"]]
    beyond = beyond.rename(columns={"gain": "beyond"}).assign(control=control)
    own = gains[[*WIDTH, "gain"]]
    of_control = own[own["arm"] == control].drop(columns="arm")
    of_control = of_control.rename(columns={"gain": "control_gain"})
    table = beyond.merge(own, on=WIDTH, how="left")
    return table.merge(of_control, on=[*LINE, *SIZE], how="left")[WIDTHS]
