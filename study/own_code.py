"""Which code of the user's own a study runs: versions and hashes, kept with its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.samplers import SAMPLERS
from study.spec import StudySpec
from trainables.arms import ARMS
from trainables.data.sources import SOURCES, parts
from trainables.encoders import ENCODERS
from trainables.methods import METHODS
from trainables.own_objects import source_of
from trainables.registry import Registry

_SHOWN = 8
"""Digits of a hash that a message shows."""

Code = dict[str, dict[str, str | None]]
"""By kind and name (``arm cutmix:CutMix``): ``version`` and ``sha256`` of the source."""


def own_code(spec: StudySpec) -> Code:
    """The code of each object of a study that does not ship with the tool."""
    used: list[tuple[Registry[Any], tuple[str, ...]]] = [
        (SOURCES, tuple(parts(name)[0] for name in spec.datasets)),
        (METHODS, spec.methods),
        (ENCODERS, spec.encoders),
        (ARMS, spec.arms),
        (SAMPLERS, (spec.search.sampler,)),
    ]
    return {
        f"{registry.kind} {name}": source_of(registry.path_of(name))._asdict()
        for registry, names in used
        for name in names
        if registry.is_own(name)
    }


def changes_of_code(before: Mapping[str, Mapping[str, str | None]], now: Code) -> list[str]:
    """What differs for objects of both, in words."""
    return [
        f"source of {name} {_described(before[name])} -> {_described(code)}"
        for name, code in now.items()
        if name in before and before[name].get("sha256") != code["sha256"]
    ]


def _described(code: Mapping[str, str | None]) -> str:
    digits = (code.get("sha256") or "")[:_SHOWN]
    return f"{code['version']} ({digits})" if code.get("version") else digits
