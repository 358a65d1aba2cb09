"""The contract of a data source, and the parts of a data set's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl

from trainables.data.records import LocatedData
from trainables.errors import InputError, cause


@dataclass(frozen=True)
class Address:
    """A data set's name in parts: KIND, KIND:PATH or KIND:PATH?OPTION=VALUE&OPTION=VALUE."""

    name: str
    """The whole name, as it was given."""
    path: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class DataSource(ABC):
    """A kind of data set. An object of each is listed in `trainables.data.sources.SOURCES`.

    A source that has ``summary`` can be named by its own name alone and is then looked for in the
    data folder. A source that has ``path_summary`` can be named with a place, NAME:PATH.
    """

    name: ClassVar[str]
    """The data set's name, or the KIND of KIND:PATH."""
    summary: ClassVar[str | None] = None
    """What the data set called ``name`` is, in one line."""
    path_summary: ClassVar[str | None] = None
    """What is read from NAME:PATH, in one line."""
    options: ClassVar[tuple[str, ...]] = ()
    """What may follow the path: NAME:PATH?OPTION=VALUE."""
    can_download: ClassVar[bool] = False

    @abstractmethod
    def find(self, address: Address, data_dir: Path) -> LocatedData:
        """The data set at ``address``, with the files of a plain name looked for in ``data_dir``.

        This looks at names, sizes and times of files only; `LocatedData.read` reads them.

        Raises:
            InputError: files are missing or do not have the layout.
        """

    def download(self, folder: Path) -> None:
        """Download the data set into ``folder``; only where ``can_download``.

        Raises:
            OSError, RuntimeError: the download failed.
        """
        raise NotImplementedError


def parse_address(source: DataSource, name: str, kind: str) -> Address:
    """The parts of ``name``, which is ``kind`` (the name of ``source``), a colon and a place.

    Options are what follows the last ``?``, where it reads like ``word=value``; a value may hold
    percent-escapes (``%26`` for ``&``). A source without options takes the whole rest as the path.

    Raises:
        InputError: there is no path, the path cannot be one, or an option is unknown or repeated.
    """
    rest = name[len(kind) + 1 :]
    path, mark, query = rest.rpartition("?")
    if not (source.options and mark and query.partition("=")[0].isidentifier() and "=" in query):
        return Address(name, _path(name, kind, rest))
    allowed = " or ".join(f"{option}=VALUE" for option in source.options)
    try:
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise InputError(f"data set {name!r}: {query!r} after the ? (allowed: {allowed})") from None
    options = dict(pairs)
    for option, value in pairs:
        if option not in source.options or not value:
            problem = f"no value of {option!r}" if option in source.options else f"no {option!r}"
            raise InputError(f"data set {name!r}: {problem} after the ? (allowed: {allowed})")
    if len(options) < len(pairs):
        raise InputError(f"data set {name!r}: an option is given twice (allowed: {allowed})")
    return Address(name, _path(name, kind, path), options)


def _expanded(name: str, text: str) -> Path:
    """The path, with a home folder in place of ``~`` or ``~user``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # Python says: could not determine home directory
        user = Path(text).parts[0]
        raise InputError(
            f"data set {name!r}: no home folder is known for {user} (write the whole path, or "
            f"./{user} for a folder of this name)"
        ) from None


def _path(name: str, kind: str, text: str) -> Path:
    if not text:
        raise InputError(f"data set {name!r}: no path after {kind}:")
    try:
        text.encode()
        path = _expanded(name, text)
        path.stat()
    except FileNotFoundError:
        pass  # the source itself reports what is wrong with the path
    except InputError:
        raise
    except (OSError, ValueError) as error:  # too long, NUL, no rights
        is_bytes = isinstance(error, UnicodeEncodeError)
        reason = "the path is not UTF-8" if is_bytes else cause(error)
        raise InputError(f"data set {name!r}: {reason}") from None
    return path
