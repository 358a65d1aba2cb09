"""Objects of one kind, found by name: arms, methods, encoders, samplers, data sources, probes."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from trainables.errors import InputError, cause, listed, meant
from trainables.own_objects import OWN_NAME, imported, installed

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """The objects of one kind by their names, in the order in which lists show them.

    As a mapping it holds what ships with the tool. `find` also finds objects of a user's own.

    Args:
        kind: what the objects are; a field of `TrialConfig` has the same name.
        members: the objects that ship, by name.
        contract: what an object of one's own must be; None: there are none of this kind.
        group: the entry points by which installed packages name theirs.
        makers: for names that begin with a key and are no members, the function at the value
            (``module:name``) that makes their object, or raises InputError. Its module is imported
            when such a name is first needed.

    An object of one's own is an instance of ``contract``, a class derived from it (which is called
    without arguments), or a class with a ``describe`` that returns such an instance.
    """

    def __init__(
        self,
        kind: str,
        members: Mapping[str, T],
        contract: type[T] | None = None,
        group: str = "",
        makers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._members = dict(members)
        self._contract = contract
        self._makers = dict(makers or {})
        self._own: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def names(self) -> list[str]:
        """The names that ship, then those of installed packages."""
        more = installed(self.group) if self._contract else {}
        return [*self._members, *(name for name in more if name not in self._members)]

    def find(self, name: object) -> T:
        """The object called ``name``; what ships comes before what others have installed.

        Raises:
            InputError: there is none; the message lists the names. Or an object of one's own
                cannot be imported or is not what its kind asks for; the message says why.
        """
        if not isinstance(name, str) or not (name in self._members or self.is_elsewhere(name)):
            near = meant(name, self.names)
            form = " or package.module:Name" if self._contract else ""
            raise InputError(
                f"{self.kind}: {name!r} is unknown{near} (allowed: {listed(self.names)}{form})"
            )
        if name in self._members:
            return self._members[name]
        if name not in self._own:
            try:
                self._own[name] = self._made(name)
            except InputError as error:
                reason = str(error).removeprefix(f"{self.kind}: ")
                raise InputError(f"{self.kind}: {name!r}: {reason}") from None
        return self._own[name]

    def is_elsewhere(self, name: object) -> bool:
        """Whether ``name`` reads like that of no member, but of an object that `find` can make."""
        return self.is_own(name) or self._maker(name) is not None

    def is_own(self, name: object) -> bool:
        """Whether ``name`` reads like the name of an object of a user's own."""
        if self._contract is None or not isinstance(name, str) or name in self._members:
            return False
        if self._maker(name):
            return False
        return OWN_NAME.fullmatch(name) is not None or name in installed(self.group)

    def path_of(self, name: str) -> str:
        """``package.module:Name`` of an object of one's own."""
        return name if OWN_NAME.fullmatch(name) else installed(self.group)[name].value

    def _maker(self, name: object) -> str | None:
        if not isinstance(name, str) or name in self._members:
            return None
        return next((path for key, path in self._makers.items() if name.startswith(key)), None)

    def _made(self, name: str) -> T:
        if maker := self._maker(name):
            return cast(T, load(maker)(name))
        return self._adopted(imported(self.path_of(name)), name)

    def _adopted(self, found: Any, name: str) -> T:
        contract = cast(type[T], self._contract)
        if isinstance(found, type) and not issubclass(found, contract):
            found = found.describe() if hasattr(found, "describe") else found
        elif isinstance(found, type):
            try:
                found = found()
            except Exception as error:
                raise InputError(f"cannot be made: {cause(error)}") from None
        expected = f"{contract.__module__}.{contract.__name__}"
        if not isinstance(found, contract):
            raise InputError(f"is {_what(found)}, not a {expected}")
        if not hasattr(found, "name"):
            found.name = name  # type: ignore[attr-defined]
        if missing := [field for field in _fields(contract) if not hasattr(found, field)]:
            raise InputError(f"has no {listed(missing)}, which a {expected} must have")
        return found


def _what(found: object) -> str:
    if isinstance(found, type):
        return f"the class {found.__module__}.{found.__qualname__}"
    return f"of type {type(found).__module__}.{type(found).__qualname__}"


def _fields(contract: type) -> list[str]:
    """The attributes that the classes of ``contract`` annotate."""
    return [name for base in contract.__mro__[:-1] for name in inspect.get_annotations(base)]


def summary_of(described: type) -> str:
    """The first line of a class's docstring, without its full stop."""
    return (described.__doc__ or described.__name__).strip().splitlines()[0].removesuffix(".")


def load(path: str) -> Any:
    """The object at ``package.module:Name``; imports its module."""
    return pkgutil.resolve_name(path)
