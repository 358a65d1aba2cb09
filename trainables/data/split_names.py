"""How the splits of a data set are called, in the names of files and folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev"),
}
TEST_NAMES = (*SPLIT_NAMES["test"], *SPLIT_NAMES["validation"])
_SPLIT_OF = {alias: split for split, aliases in SPLIT_NAMES.items() for alias in aliases}


def split_of(word: str) -> str | None:
    """The split that ``word`` names as a whole, in upper or lower case; None if it names none."""
    return _SPLIT_OF.get(word.lower())


def splits_in(words: Iterable[str]) -> dict[str, list[str]]:
    """Those of ``words`` that name a split, by split."""
    found: dict[str, list[str]] = {}
    for word in words:
        split = split_of(word)
        if split:
            found.setdefault(split, []).append(word)
    return found
