"""Arms: how images are mixed. A new arm is a file here and a name in `ARMS`."""

from __future__ import annotations

from trainables.arms.base import Arm
from trainables.arms.extra_crop import ExtraCrop
from trainables.arms.i_mix import IMix
from trainables.arms.mixco import MixCo
from trainables.arms.none import Baseline
from trainables.arms.un_mix import UnMix
from trainables.registry import Registry

_SHIPPED: tuple[Arm, ...] = (Baseline(), MixCo(), ExtraCrop(), IMix(), UnMix())

ARMS: Registry[Arm] = Registry(
    "arm",
    {arm.name: arm for arm in _SHIPPED},
    contract=Arm,
    group="mixco.arms",
)
BASELINE = Baseline.name
