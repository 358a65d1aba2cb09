"""Which Parquet files of a folder belong to which split and which configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainables.data.files import kind_of, scan
from trainables.data.split_names import SPLIT_NAMES, split_of
from trainables.errors import InputError, listed

_SHARD = re.compile(
    r"(?P<word>[a-z]+)(?:[-_.]?(?P<index>[0-9]+))?(?:-of-(?P<total>\d+))?(?:-[0-9a-f]{8,})?",
    re.IGNORECASE,
)
"""SPLIT, SPLIT-00000, SPLIT-00000-of-00003, each perhaps followed by a hash."""
_NUMBER = re.compile(r"[0-9]{1,9}")
"""The whole name of a shard in the folder of its split."""
_DEEPEST = 4
_MOST_ENTRIES = 20_000


@dataclass
class Layout:
    """The files of each split, and what was passed over."""

    splits: dict[str, list[Path]]
    passed_over: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Shard:
    """A Parquet file, with the configuration and the split that its path tells."""

    path: Path
    config: str
    split: str
    alias: str
    """The name of the split in the file or folder name."""
    index: int | None
    """The number in its name."""
    total: int | None
    """How many files its name says that there are."""


def find_layout(name: str, folder: Path, config: str | None) -> Layout:
    """The files of ``folder`` by split, in any of the layouts that the Hub uses.

    A file belongs to a split by its own name (``train.parquet``, ``train-00000-of-00003.parquet``)
    or by its folder's (``train/0000.parquet``). Both may lie in a ``data/`` and in the folder of a
    configuration. Files in ``folder`` itself come before files in deeper folders.

    Raises:
        InputError: a split has no files or not all of its shards, or the folder holds several
            configurations and ``config`` names none of them.
    """
    files = sorted(_parquet_files(folder))
    shards = [shard for file in files if (shard := _shard(folder, file))]
    config, others = _choose_config(name, folder, shards, config)
    layout = Layout({})
    for split in SPLIT_NAMES:
        found = [shard for shard in shards if (shard.config, shard.split) == (config, split)]
        if found:
            layout.splits[split] = _shards_in_one_place(name, folder, found, layout.passed_over)
    strangers = [file.relative_to(folder) for file in files if not _shard(folder, file)]
    if strangers:
        what = f"{len(strangers)} .parquet of no split ({listed(strangers, 3)})"
        layout.passed_over.append(what)
    if others:
        layout.passed_over.append(
            f"{len(others)} configuration(s) ({listed(others, 3)}; choose one: ?config=NAME)"
        )
    if "train" not in layout.splits:
        found_here = [entry.name for entry in scan(folder)]
        raise InputError(
            f"data set {name!r}: no train split in {folder} (train*.parquet, train/*.parquet, "
            f"data/ or a folder of a configuration; found: {listed(found_here) or 'nothing'})"
        )
    if not layout.splits.keys() - {"train"}:
        aliases = ", ".join(SPLIT_NAMES["test"] + SPLIT_NAMES["validation"])
        raise InputError(
            f"data set {name!r}: no test split in {folder} (files or a folder of: {aliases}; "
            f"found: {listed(file.relative_to(folder) for file in files)})"
        )
    return layout


def _parquet_files(folder: Path) -> Iterator[Path]:
    """The regular Parquet files in ``folder`` and the folders of a layout below it."""
    level, entries = [folder], 0
    for depth in range(_DEEPEST):
        deeper: list[Path] = []
        for place in level:
            for entry in scan(place):
                entries += 1
                if entries > _MOST_ENTRIES:
                    raise InputError(
                        f"{folder}: no folder of Parquet files: more than {_MOST_ENTRIES:,} entries"
                    )
                kind = kind_of(entry)
                if kind == "file" and entry.name.lower().endswith(".parquet"):
                    yield Path(entry.path)
                elif kind == "broken link" and entry.name.lower().endswith(".parquet"):
                    target = Path(entry.path).readlink()
                    raise InputError(f"{entry.path}: a broken link to {target}")
                elif kind == "folder" or (kind == "link to a folder" and depth == 0):
                    deeper.append(Path(entry.path))
        level = deeper


def _shard(folder: Path, file: Path) -> _Shard | None:
    """A file's split and configuration by its path; None if it belongs to no split."""
    folders = [part for part in file.relative_to(folder).parts[:-1] if part != "data"]
    match = _SHARD.fullmatch(file.stem)
    by_name = split_of(match["word"]) if match else None
    by_folder = split_of(folders[-1]) if folders else None
    if by_name and by_folder and by_name != by_folder:
        raise InputError(f"{file}: the file's name and the folder's name say different splits")
    number = match["index"] if match else file.stem if _NUMBER.fullmatch(file.stem) else None
    index = int(number) if number else None
    total = int(match["total"]) if match and match["total"] and by_name else None
    if by_folder:
        config = "/".join(folders[:-1])
        return _Shard(file, config, by_folder, folders[-1], index, total)
    if match and by_name:
        return _Shard(file, "/".join(folders), by_name, match["word"], index, total)
    return None


def _choose_config(
    name: str, folder: Path, shards: list[_Shard], asked: str | None
) -> tuple[str, list[str]]:
    """The configuration to read ("" where the layout has none), and the others.

    Raises:
        InputError: the configuration asked for does not exist, or none is asked for and the
            folder has more than one.
    """
    configs = sorted({shard.config for shard in shards if shard.split == "train"})
    named = [config for config in configs if config]
    if asked is not None:
        if asked not in named:
            raise InputError(
                f"data set {name!r}: no configuration {asked!r} in {folder} (there are: "
                f"{listed(named) or 'none'})"
            )
        return asked, []
    if "" in configs or not named:
        return "", named
    if len(named) > 1:
        raise InputError(
            f"data set {name!r}: several configurations in {folder} ({listed(named)}); choose one: "
            f"parquet:{folder}?config={named[0]}"
        )
    return named[0], []


def _shards_in_one_place(
    name: str, folder: Path, shards: list[_Shard], passed_over: list[str]
) -> list[Path]:
    """All files of one split, from the highest folder that holds some of them.

    Raises:
        InputError: shards are missing, or the folder holds the split in two forms.
    """

    def preference(place: Path) -> tuple[int, bool, Path]:
        parts = place.relative_to(folder).parts
        return len(parts), "data" not in parts, place

    places = sorted({shard.path.parent for shard in shards}, key=preference)
    chosen = [shard for shard in shards if shard.path.parent == places[0]]
    if places[1:]:
        elsewhere = [place.relative_to(folder) for place in places[1:]]
        count = len(shards) - len(chosen)
        passed_over.append(f"{count} .parquet of a second copy ({listed(elsewhere, 3)})")
    first = chosen[0]
    for shard in chosen:
        if (shard.alias, shard.total) != (first.alias, first.total):
            raise InputError(
                f"data set {name!r}: {first.path} and {shard.path.name} are two forms of one "
                "split; keep one"
            )
    if first.total is not None:
        _check_complete(chosen, first.total)
    else:
        _check_no_gap(chosen)
    return [shard.path for shard in chosen]


def _check_complete(shards: list[_Shard], total: int) -> None:
    indices = [shard.index for shard in shards]
    for shard in shards:
        if indices.count(shard.index) > 1:
            raise InputError(f"{shard.path}: there is a second file of this shard; keep one")
    missing = [index for index in range(min(total, len(indices) + 1)) if index not in indices]
    if missing or len(indices) != total:
        what = f"shard {missing[0]:05}-of-{total:05}" if missing else f"not one of {total} shards"
        raise InputError(
            f"{shards[0].path.parent}: {shards[0].alias}-*.parquet: {what} is missing "
            f"({len(indices)} files were found)"
        )


def _check_no_gap(shards: list[_Shard]) -> None:
    """Refuse numbers that begin at 0 or 1, as shards are counted, and leave one out."""
    numbers = {shard.index for shard in shards if shard.index is not None}
    if len(numbers) < len(shards) or min(numbers) > 1:
        return  # not the numbers of shards: of years, perhaps
    if max(numbers) - min(numbers) >= len(numbers):
        missing = next(n for n in range(min(numbers), max(numbers)) if n not in numbers)
        raise InputError(
            f"{shards[0].path.parent}: shard {missing} of {shards[0].split} is missing "
            f"(found: {listed([shard.path.name for shard in shards], 5)}; if these are all, number "
            "them without a gap)"
        )
