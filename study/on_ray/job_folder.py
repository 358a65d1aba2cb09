"""The files that a submitted job gets: the study, what the study names, and what the user adds.

Ray would pack the whole current folder, with caches, keys and tokens where that is a home folder.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from study.spec import StudySpec, dump_spec
from trainables.data.sources import parts
from trainables.errors import InputError, listed, shown
from trainables.sizes import shown_size

STUDY_FILE = "mixco-submitted-study.yaml"
MOST_BYTES = 100 << 20
"""Ray's dashboard refuses larger uploads."""
_LARGEST = 5
_KEY_SUFFIXES = {".pem", ".key", ".p12", ".pfx", ".ppk", ".jks", ".kdbx", ".token"}
_KEY_NAMES = re.compile(
    r"(id_(rsa|dsa|ecdsa|ed25519)|(.*[-_])?(tokens?|secrets?|passwords?|credentials?)|kubeconfig)"
    r"(\.(txt|json|yaml|yml|ini|csv))?",
    re.IGNORECASE,
)


@contextmanager
def job_folder(study: StudySpec, includes: Iterable[str]) -> Iterator[Path]:
    """A temporary folder for a job: the study (`STUDY_FILE`) and files of the current folder.

    Args:
        study: the study; the job gets those of its data sets that lie in the current folder.
        includes: further files and folders, relative to the current folder.

    Raises:
        InputError: an include does not exist, lies elsewhere or is a key; or the files together
            are too large.
    """
    here = Path.cwd()
    roots = [_included(name, here) for name in includes]
    roots += [here / name for name in named_paths(study) if (here / name).exists()]
    files = sorted({path for root in roots for path in files_below(root)})
    check_size(files, here)
    with tempfile.TemporaryDirectory(prefix="mixco-job-") as name:
        folder = Path(name)
        for path in files:
            copy = folder / path.relative_to(here)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        (folder / STUDY_FILE).write_text(dump_spec(study))
        yield folder


def named_paths(study: StudySpec) -> list[str]:
    """The relative paths in the names of a study's data sets (``imagefolder:pictures/birds``)."""
    sections = (study.base, *study.of_method.values(), *study.of_arm.values())
    names = list(study.datasets)
    for section in sections:
        names += section.get("eval_datasets", ())
    paths = (parts(name)[2].partition("?")[0] for name in names)
    return [
        path for path in paths if path and not path.startswith(("/", "~")) and "://" not in path
    ]


def _included(name: str, here: Path) -> Path:
    path = here / name
    where = f"--include {shown(name)}"
    if not path.exists():
        raise InputError(f"{where}: no such file or folder in {shown(here)}")
    if not path.resolve().is_relative_to(here.resolve()) or path == here:
        raise InputError(f"{where}: only what lies below the current folder can be shipped")
    if any(_is_private(Path(part)) for part in path.relative_to(here).parts):
        raise InputError(f"{where}: hidden entries, keys and tokens are never shipped")
    return path


def files_below(root: Path) -> Iterator[Path]:
    """The files at or below ``root``, without hidden entries, keys, tokens and links to folders."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_hidden(Path(name))]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not (_is_private(path) or _is_private(path.resolve())):
                yield path


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__pycache__"


def _is_private(path: Path) -> bool:
    return (
        _is_hidden(path)
        or path.suffix.lower() in _KEY_SUFFIXES
        or _KEY_NAMES.fullmatch(path.name) is not None
    )


def check_size(files: list[Path], here: Path) -> None:
    """Refuses files below ``here`` that are too large for Ray.

    Raises:
        InputError: names the largest.
    """
    sizes: dict[str, int] = {}
    for path in files:
        entry = "/".join(path.relative_to(here).parts[:2])
        sizes[entry] = sizes.get(entry, 0) + path.stat().st_size
    total = sum(sizes.values())
    if total <= MOST_BYTES:
        return
    largest = sorted(sizes, key=lambda entry: -sizes[entry])
    names = listed((f"{entry} ({shown_size(sizes[entry])})" for entry in largest), _LARGEST)
    raise InputError(
        f"the job's files have {shown_size(total)}, and at most {shown_size(MOST_BYTES)} can be "
        f"shipped; the largest: {names}; put data on the nodes and name it by its absolute path"
    )
