"""The modules of a user's own that the processes of a study need, for Ray's ``py_modules``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.on_ray.job_folder import check_size, files_below
from trainables.own_objects import modules_in_folders


@contextmanager
def own_modules() -> Iterator[list[str]]:
    """Copies of the modules and packages that names like ``module:Name`` have imported.

    Ray would pack all that lies in a package's folder; the copies have no hidden entries, keys and
    tokens. Installed packages are not among them: the nodes have them installed.

    Raises:
        InputError: they are too large to be shipped.
    """
    with tempfile.TemporaryDirectory(prefix="mixco-modules-") as name:
        copies = []
        for place in modules_in_folders():
            files = sorted(files_below(place))
            check_size(files, place.parent)
            for file in files:
                copy = Path(name) / file.relative_to(place.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            copies.append(str(Path(name) / place.name))
        yield copies
