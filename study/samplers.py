"""Optuna's samplers by name. A new one is a function here, an entry in `SAMPLERS`, and its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from trainables.errors import InputError
from trainables.registry import Registry

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Sampler:
    """How a cell's search suggests parameters."""

    name: str
    make: Callable[[int, int], BaseSampler]
    """From a seed and the number of random trials at the start."""
    replayed: bool = False
    """Whether it keeps its state in the trials that it was asked for, so that recorded trials are
    asked for again when a search is resumed."""
    two_objectives: bool = True
    """Whether it can search for accuracy and FLOPs at once."""
    package: str | None = None
    """The package that it needs besides Optuna; this tool's extra of that name installs it."""

    def check_installed(self) -> None:
        """Refuses a sampler that cannot be used here.

        Raises:
            InputError: its package is missing.
        """
        if self.package and find_spec(self.package) is None:
            raise InputError(
                f"search.sampler: {self.name} needs the package {self.package}, which is not "
                f"installed: pip install 'mixco-study[{self.package}]', or choose another sampler"
            )


def _tpe(seed: int, startup: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)


def _random(seed: int, startup: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _gp(seed: int, startup: int) -> BaseSampler:
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=startup)


def _cmaes(seed: int, startup: int) -> BaseSampler:
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)


def _nsgaii(seed: int, startup: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=max(2, startup))


_SHIPPED = (
    Sampler("tpe", _tpe),
    Sampler("random", _random),
    Sampler("gp", _gp),
    Sampler("cmaes", _cmaes, replayed=True, two_objectives=False, package="cmaes"),
    Sampler("nsgaii", _nsgaii, replayed=True),
)

SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    {sampler.name: sampler for sampler in _SHIPPED},
    contract=Sampler,
    group="mixco.samplers",
)
