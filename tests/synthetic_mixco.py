"""`python -m tests.synthetic_mixco ARGUMENTS`: `mixco` whose trials are formulas.

An epoch takes 0.3 s. While the file that `HOLD` names exists, no epoch begins.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from study.commands.main import main
from study.on_ray import driver
from tests.synthetic_trial import MakeSynthetic
from trainables.config import TrialConfig


def hold(config: TrialConfig, epoch: int) -> None:
    while Path(os.environ["HOLD"]).exists():
        time.sleep(0.1)


if __name__ == "__main__":
    make_trial = MakeSynthetic(0.3, trouble=hold)
    driver.run_study = functools.partial(driver.run_study, make_trial=make_trial)
    main()
