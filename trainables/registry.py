"""Objects of one kind, found by name: arms, methods, encoders, probes."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from trainables.errors import InputError, listed, meant

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """The objects of one kind by their names, in the order in which lists show them.

    Args:
        kind: what the objects are; a field of `TrialConfig` has the same name.
        members: the objects by name.
    """

    def __init__(self, kind: str, members: Mapping[str, T]) -> None:
        self.kind = kind
        self._members = dict(members)

    def __getitem__(self, name: str) -> T:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def find(self, name: object) -> T:
        """The object called ``name``.

        Raises:
            InputError: there is none; the message lists the names.
        """
        if not isinstance(name, str) or name not in self._members:
            near = meant(name, self)
            raise InputError(f"{self.kind}: {name!r} is unknown{near} (allowed: {listed(self)})")
        return self._members[name]


def load(path: str) -> Any:
    """The object at ``package.module:Name``; imports its module."""
    return pkgutil.resolve_name(path)
