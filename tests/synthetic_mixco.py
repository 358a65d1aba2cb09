"""`python -c "from tests.synthetic_mixco import run; run()" ARGUMENTS`: `mixco` without training.

Trials are formulas. An epoch takes 0.3 s, and is saved. `FOLDER` names a folder. While it holds a
file `hold`, no epoch begins; the file `diary` gets a line for each epoch that begins.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from tests.synthetic_trial import MakeSynthetic
from trainables.config import TrialConfig
from trainables.on_ray import tune

tune.CHECKPOINT_SECONDS = 0  # in the processes of trials too: they import this module


def run() -> None:
    """Runs the command line."""
    from study.commands.main import main
    from study.on_ray import driver

    make_trial = MakeSynthetic(0.3, trouble=begin)
    driver.run_study = functools.partial(driver.run_study, make_trial=make_trial)
    main()


def begin(config: TrialConfig, epoch: int) -> None:
    folder = Path(os.environ["FOLDER"])
    with (folder / "diary").open("a") as diary:
        diary.write(f"{config.digest()} {epoch}\n")
    while (folder / "hold").exists():
        time.sleep(0.1)
