"""Objects of a user's own, by ``package.module:Name`` or by an entry point of an installed package.

A module is looked for among the installed packages first, then in the folders of `search_in` and
in the current folder. It is imported when its name is first needed, so that a study without such
names imports nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import (
    EntryPoint,
    PackageNotFoundError,
    entry_points,
    packages_distributions,
)
from importlib.metadata import version as version_of
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from trainables.errors import InputError, cause, listed

OWN_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""``package.module:Name``; ``Name`` may have dots, too."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names of entry points: a trial's id, which names files, has them in it."""
TOOL_PACKAGES = ("trainables", "search_spaces", "study", "reports")


class _Folders(MetaPathFinder):
    """Finds modules in folders beside the installed packages."""

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.wanted: set[str] = set()
        """Top-level modules of the names that were asked for."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module ``name`` in one of the folders.

        A folder without ``__init__.py`` is a package only where a name asks for it: other code
        tries imports, and a folder of results may have the name of a library.
        """
        if path is not None:
            return None  # a module inside a package: the package's own path has it
        spec = PathFinder.find_spec(name, self.folders)
        is_namespace = spec is not None and spec.loader is None
        return None if is_namespace and name not in self.wanted else spec


_FOLDERS = _Folders()


def search_in(folder: Path) -> None:
    """Makes the modules of ``folder`` importable by `imported`: a study's file lies there."""
    text = str(folder.absolute())
    if text not in _FOLDERS.folders:
        _FOLDERS.folders.append(text)


def searched_folders() -> list[str]:
    """The folders so far, for `search_in` in other processes."""
    return list(_FOLDERS.folders)


def imported(name: str) -> Any:
    """The object ``package.module:Name``.

    Raises:
        InputError: there is no such module or name, or the import raises; says where.
    """
    module_name, _, path = name.partition(":")
    module = _module(module_name)
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise InputError(f"{_place(module)} has no {part} (it has: {listed(_public(found))})")
        found = getattr(found, part)
    return found


def _module(name: str) -> ModuleType:
    search_in(Path.cwd())
    top = name.partition(".")[0]
    _FOLDERS.wanted.add(top)
    if _FOLDERS not in sys.meta_path:
        sys.meta_path.append(_FOLDERS)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise InputError(
                f"there is no module {error.name} among the installed packages or in "
                f"{listed(_FOLDERS.folders)}"
            ) from None
        raise _failed(name, error) from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from None


def _failed(name: str, error: BaseException) -> InputError:
    where = line_of(error)
    kind = type(error).__name__
    reason = cause(error)
    said = kind if reason == kind else f"{kind}: {reason}"
    return InputError(f"importing {name} failed: {said}" + (f" ({where})" if where else ""))


def line_of(error: BaseException) -> str | None:
    """File and line where ``error`` was raised, outside Python's own import system."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = [frame for frame in _frames(error.__traceback__) if "importlib" not in frame.filename]
    own = [frame for frame in frames if frame.filename != __file__]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else None


def _frames(where: TracebackType | None) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(where))


def _place(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return f"module {module.__name__} ({file})" if file else f"module {module.__name__}"


def _public(holder: Any) -> list[str]:
    """The names that ``holder`` defines itself, those of a module without what it imports."""
    own = getattr(holder, "__name__", None)
    return sorted(
        name
        for name, value in vars(holder).items()
        if not name.startswith("_") and getattr(value, "__module__", own) == own
        and not isinstance(value, ModuleType)
    )  # fmt: skip


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of all installed packages in ``group``, by name."""
    return {
        point.name: point
        for point in entry_points(group=group)
        if _PLAIN.fullmatch(point.name) and OWN_NAME.fullmatch(point.value)
    }


class Source(NamedTuple):
    """Which code an object of one's own is made of."""

    version: str | None
    """Of the installed package, or the module's ``__version__``."""
    sha256: str
    """Of all Python files of the top-level package, or of the one file."""


def source_of(name: str) -> Source:
    """The code behind ``package.module:Name``, whose module is imported."""
    top = name.partition(":")[0].partition(".")[0]
    module = importlib.import_module(top)
    digest = hashlib.sha256()
    for place in _places(module):
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        for file in files:
            inside = file.relative_to(place.parent)
            digest.update(f"{inside.as_posix()}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return Source(_version(module), digest.hexdigest())


def _version(module: ModuleType) -> str | None:
    for distribution in packages_distributions().get(module.__name__, ()):
        try:
            return version_of(distribution)
        except PackageNotFoundError:
            continue
    declared = getattr(module, "__version__", None)
    return None if declared is None else str(declared)


def _places(module: ModuleType) -> list[Path]:
    """The file of a module, or the folders of a package."""
    if hasattr(module, "__path__"):
        return [Path(folder) for folder in module.__path__]
    file = getattr(module, "__file__", None)
    return [] if file is None else [Path(file)]


def modules_in_folders() -> list[Path]:
    """Files and packages in the folders of `search_in` whose modules are imported.

    These are what the nodes of a cluster need besides their installed packages: the modules that
    names asked for, and what those imported from beside themselves.
    """
    folders = {Path(folder) for folder in _FOLDERS.folders}
    found = {
        place
        for name, module in list(sys.modules.items())
        if "." not in name and name not in (*TOOL_PACKAGES, "__main__")
        for place in _places(module)
        if place.parent in folders and (place.is_dir() or place.suffix == ".py")
    }
    return sorted(found) if _FOLDERS.wanted else []
