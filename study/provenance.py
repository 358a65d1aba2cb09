"""The study's spec and the software, data and hardware of its trials, stored beside its tables."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reports.store.registration import read_registration
from reports.store.tables import Store
from study.own_code import changes_of_code, own_code
from study.spec import StudySpec, dump_spec, parse_spec
from trainables.errors import InputError
from trainables.own_objects import search_in, searched_folders

SPEC_FILE = "study.yaml"
PROVENANCE_FILE = "provenance.json"
_OWN_CODE = "own_code"
_MODULE_FOLDERS = "module_folders"
"""Where modules of the user's own were found: the results are looked at from other folders, too."""
_PACKAGES = (
    *("mixco-study", "torch", "torchvision", "timm", "ray", "optuna"),
    *("numpy", "pandas", "pyarrow"),
)

# A study may grow along these; a change of anything else makes earlier rows another experiment.
_GROWS = (
    "datasets", "methods", "encoders", "widths", "arms", "trials", "seeds",
    "searches", "until", "max_searches",
)  # fmt: skip
_ASIDE = ("resources", "runner", "trackers", "lines")
"""Of no account for what a trial finds."""


def stored_spec(store: Store) -> StudySpec | None:
    """The study that these results are of.

    Raises:
        InputError: ``study.yaml`` there is not a study.
    """
    text = store.read_text(SPEC_FILE)
    for folder in _recorded(store).get(_MODULE_FOLDERS, []):
        search_in(Path(folder))
    return None if text is None else parse_spec(text, f"{store.name}/{SPEC_FILE}")


def check_same_study(store: Store, spec: StudySpec) -> None:
    """Refuses a spec that makes the stored rows incomparable with those to come.

    Raises:
        InputError: names each field that changed.
    """
    if changes := differences(store, spec):
        raise InputError(
            f"{store.name}: its trials are not comparable with this study any more "
            f"({changes}): give the study another name or --results folder, or pass "
            "--accept-mixed"
        )


def differences(store: Store, spec: StudySpec) -> str:
    """What makes the stored rows incomparable with those of ``spec``; empty: nothing."""
    old = stored_spec(store)
    if old is None:
        return ""
    was, now = old.model_dump(mode="json"), spec.model_dump(mode="json")
    changes = []
    for name in now:
        if name in _GROWS + _ASIDE or was[name] == now[name]:
            continue
        if isinstance(was[name], dict):
            keys = sorted(set(was[name]) | set(now[name]))
            changes += [
                f"{name}.{key} {was[name].get(key, 'default')} -> {now[name].get(key, 'default')}"
                for key in keys
                if was[name].get(key) != now[name].get(key)
            ]
        else:
            changes.append(f"{name} {was[name]} -> {now[name]}")
    if _judges_other_lines(store, old, spec):
        changes.append(f"lines {old.lines} -> {spec.lines}: the looks so far judged other lines")
    changes += changes_of_code(_recorded(store).get(_OWN_CODE, {}), own_code(spec))
    return "; ".join(changes)


def _judges_other_lines(store: Store, old: StudySpec, spec: StudySpec) -> bool:
    """Whether looks were taken at lines that are not those of ``spec``.

    Encoders that are new may join a line; those of one line stay together and apart from others.
    """
    known = read_registration(store)
    if known is None or not known.looks:
        return False
    was, now = old.line_of, spec.line_of
    pairs = {(line, now[size]) for size, line in was.items() if size in now}
    return any(len({pair[side] for pair in pairs}) < len(pairs) for side in (0, 1))


def write(store: Store, spec: StudySpec, *, runs: bool = True) -> None:
    """Writes the resolved spec, and what its recorded trials were made with.

    Args:
        store: the results.
        spec: their study.
        runs: whether trials run here; if none does, this machine's software made nothing.

    Raises:
        StoreError: the file system refused.
    """
    trials = store.read("trials", ["dataset", "data_fingerprint", "git_revision", "hardware"])
    prints = trials[["dataset", "data_fingerprint"]].dropna().drop_duplicates()
    known = _recorded(store)
    software: dict[str, Any] = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    if not runs:
        software |= {name: known[name] for name in software if name in known}
    record = {
        **software,
        _OWN_CODE: {**known.get(_OWN_CODE, {}), **own_code(spec)},
        _MODULE_FOLDERS: searched_folders() if own_code(spec) else [],
        "git_revisions": sorted(trials["git_revision"].dropna().unique()),
        "hardware": sorted(trials["hardware"].dropna().unique()),
        "data_fingerprints": {
            str(dataset): sorted(group["data_fingerprint"])
            for dataset, group in prints.groupby("dataset")
        },
    }
    store.write_bytes(SPEC_FILE, dump_spec(spec).encode())
    store.write_bytes(PROVENANCE_FILE, json.dumps(record, indent=2).encode())


def _recorded(store: Store) -> dict[str, Any]:
    """What `write` wrote; empty where there is nothing, or nothing that can be read."""
    try:
        found = json.loads(store.read_text(PROVENANCE_FILE) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
