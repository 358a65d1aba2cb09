"""Shell completion: what is offered when Tab is pressed. Imports neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

VARIABLE = "_MIXCO_COMPLETE"
"""The environment variable by which a shell asks for completions."""


def preset_names(incomplete: str) -> list[str]:
    """Presets that begin with ``incomplete``."""
    from study.shipped import presets

    return _beginning(incomplete, presets())


def specs(incomplete: str) -> list[str]:
    """Presets and YAML files here that begin with ``incomplete``; else the shell offers files."""
    here = sorted(path.name for path in Path.cwd().glob("*.y*ml"))
    return preset_names(incomplete) + _beginning(incomplete, here)


def data_sets(incomplete: str) -> list[str]:
    """Data sets with a name of their own that begin with ``incomplete``."""
    from trainables.data.sources import SOURCES

    return _beginning(incomplete, [name for name, source in SOURCES.items() if source.summary])


def recipes(incomplete: str) -> list[str]:
    """Recipes of `mixco trial` that begin with ``incomplete``."""
    from trainables.recipes import RECIPES

    return _beginning(incomplete, list(RECIPES))


def values_of(field: str) -> Callable[[str], list[str]] | None:
    """Completes the values of a field of `TrialConfig`; None where they cannot be listed."""
    if field in ("dataset", "eval_datasets"):
        return data_sets
    from trainables.config import choices

    names = list(choices(field))
    return (lambda incomplete: _beginning(incomplete, names)) if names else None


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
