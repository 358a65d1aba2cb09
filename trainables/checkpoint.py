"""Checkpoint files: a file is whole or absent, and damage is found before anything is restored.

A checkpoint is a file of `torch.save` whose zip comment holds the SHA-256 of all bytes before it.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from trainables.atomic_write import atomic_file
from trainables.begun_epoch import BegunEpoch
from trainables.config import describe
from trainables.data.fingerprint import changed
from trainables.errors import InputError, cause, shown

_KIND = "mixco-study checkpoint 2"
_WITHIN_EPOCH = "mixco-study checkpoint 3"  # not for older versions: they would skip steps
_WITHOUT_DIGEST = "mixco-study checkpoint 1"
_DIGEST = b"sha256:"
_COMMENT_LENGTH = 2  # bytes at the end of a zip file without comment: the comment's length, 0
_REMEDY = "; delete it to start the trial over"


class _Part(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="ignore", allow_inf_nan=False, arbitrary_types_allowed=True
    )


class _Images(_Part):
    channels: Annotated[int, Field(ge=1, le=4)]
    size: Annotated[int, Field(ge=1, le=4096)]
    fingerprint: str | None = None
    """Of the data set's contents; older checkpoints lack it."""
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]


class _Begun(_Part):
    steps: Annotated[int, Field(ge=0)]
    sums: Tensor
    seconds: Annotated[float, Field(ge=0)]
    generators: dict[str, Tensor]


class _Training(_Part):
    epoch: Annotated[int, Field(ge=0)]
    method: dict[str, Tensor]
    optimizer: dict[str, Any]
    begun: _Begun | None = None
    """The epoch under way, if there is one."""


class _Checkpoint(_Part):
    """What a checkpoint holds. Every version of the format has all of these fields."""

    config: dict[str, Any]
    split: Literal["validation", "test"]
    seconds: Annotated[float, Field(ge=0)]
    loss: float | None
    knn_accuracy: Annotated[float, Field(ge=0, le=100)] | None
    rows: list[dict[str, int | float | None]]
    images: _Images
    pretraining: _Training


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) in one piece.

    Raises:
        OSError: the file system refused; an older file at ``path`` is unchanged.
    """
    kind = _WITHIN_EPOCH if state.get("pretraining", {}).get("begun") else _KIND
    try:
        with atomic_file(path) as file:
            torch.save({"kind": kind, **state}, file)
            file.flush()
            _append_digest(file)
    except (OSError, RuntimeError) as error:
        if system := _system_error(error):  # torch raises a RuntimeError of its own on top
            raise OSError(system.errno, system.strerror, str(path)) from None
        raise


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what ``save`` wrote; check every byte of the file and the type of every field.

    Raises:
        InputError: the file is missing, damaged, or not a checkpoint of this tool.
    """
    if not path.is_file():
        raise InputError(f"{shown(path)}: no such checkpoint")
    try:
        with path.open("rb") as file:
            digest = _check_bytes(file, path)
            state = torch.load(file, map_location=device, weights_only=True)
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read ({cause(error)})") from None
    except Exception as error:  # torch documents no errors; on damage it raises many
        raise _damaged(path, cause(error)) from None
    kind = state.get("kind") if isinstance(state, dict) else None
    if kind not in (_KIND, _WITHIN_EPOCH, _WITHOUT_DIGEST):
        raise InputError(f"{shown(path)}: not a checkpoint of this tool (expected {_KIND!r})")
    if kind != _WITHOUT_DIGEST and not digest:
        raise _damaged(path, "its checksum is missing")
    try:
        _Checkpoint.model_validate(state)
    except ValidationError as error:
        raise _damaged(path, describe(error, _Checkpoint)) from None
    return state


def check_images(state: dict[str, Any], path: Path, dataset: str, fingerprint: str) -> None:
    """Whether the checkpoint's trial saw the images that are there now.

    Args:
        state: of `load`.
        path: of the checkpoint, for the error.
        dataset: name of the data set, for the error.
        fingerprint: of the data set's contents now.

    Raises:
        InputError: the contents of the data set were others.
    """
    was = state["images"].get("fingerprint")
    if was is not None and (change := changed(was, fingerprint)):
        raise InputError(
            f"{path}: the contents of {shown(dataset)} have changed since this checkpoint "
            f"({change}){_REMEDY}"
        )


def check_fits(
    state: dict[str, Any],
    path: Path,
    epochs: int,
    method: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Refuse a state that a trial cannot continue from, before the trial is changed.

    Args:
        state: what ``load`` returned for ``path``.
        epochs: the epochs of the trial.
        method: the module that is to load the weights.
        optimizer: the one that is to load its state.

    Raises:
        InputError: an epoch's row is missing; or a tensor is, or has another shape or type.
    """
    training = state["pretraining"]
    done = training["epoch"]
    if done > epochs or [row.get("epoch") for row in state["rows"]] != [*range(1, done + 1)]:
        raise _damaged(path, f"its {len(state['rows'])} rows are not those of {done} epochs")
    own, found = method.state_dict(), training["method"]
    if differing := own.keys() ^ found.keys():
        raise _damaged(path, f"{min(differing)}: one of the two has no such weights")
    for name, tensor in own.items():
        _check_tensor(path, name, found[name], tensor)
    saved, kept = (training["optimizer"].get(name) for name in ("param_groups", "state"))
    if not _same_groups(saved, optimizer.state_dict()["param_groups"]):
        raise _damaged(path, "the optimizer's settings are others")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(kept, dict) or not kept.keys() <= set(range(len(parameters))):
        raise _damaged(path, "the optimizer's state is of other weights")
    for index, buffers in kept.items():
        if not isinstance(buffers, dict) or buffers.keys() != {"momentum_buffer"}:
            raise _damaged(path, "the optimizer's state is not SGD's")
        if (momentum := buffers["momentum_buffer"]) is not None:
            _check_tensor(path, f"momentum {index}", momentum, parameters[index])


def check_begun(state: dict[str, Any], path: Path, steps_per_epoch: int, own: BegunEpoch) -> None:
    """Refuse the state of an epoch under way that a trial cannot continue from.

    Args:
        state, path: as for `check_fits`.
        steps_per_epoch: the trial's.
        own: an epoch of the trial; it is changed.

    Raises:
        InputError: the state is damaged, or its random streams are of another kind of device.
    """
    begun = state["pretraining"].get("begun")
    if begun is None:
        return
    if begun["steps"] > steps_per_epoch or begun["generators"].keys() != own.generators.keys():
        raise _damaged(path, "its epoch under way is another trial's")
    _check_tensor(path, "the sum of losses", begun["sums"], own.sums)
    try:
        own.load_state_dict(begun)
    except (RuntimeError, TypeError):
        raise InputError(
            f"{shown(path)}: was made within an epoch, on another kind of device than "
            f"{own.sums.device} (go on with the field device that it was made with)"
        ) from None


def _check_tensor(path: Path, name: str, found: Any, own: Tensor) -> None:
    if not isinstance(found, Tensor):
        raise _damaged(path, f"{name} is no tensor")
    looks = [(t.shape, t.dtype, t.layout, t.device.type) for t in (found, own)]
    if looks[0] != looks[1]:
        what = f"{found.dtype} {list(found.shape)} ({found.layout}, {found.device})"
        raise _damaged(path, f"{name} is {what}, not {own.dtype} {list(own.shape)}")


def _same_groups(found: Any, own: list[dict[str, Any]]) -> bool:
    """Whether settings of both are equal; another version of torch may have more or fewer.

    Every step of training sets the learning rate anew.
    """
    return (
        isinstance(found, list)
        and len(found) == len(own)
        and all(
            isinstance(group, dict)
            and "params" in group
            # As text: a tensor in place of a number cannot be compared.
            and all(repr(group[n]) == repr(mine[n]) for n in group.keys() & mine.keys() - {"lr"})
            for group, mine in zip(found, own, strict=True)
        )
    )


def _append_digest(file: BinaryIO) -> None:
    """Make the digest of all bytes so far the zip file's comment."""
    end = file.seek(-_COMMENT_LENGTH, os.SEEK_END)
    with Path(file.name).open("rb") as written:
        comment = _DIGEST + _digest(written, end)
    file.write(len(comment).to_bytes(_COMMENT_LENGTH, "little") + comment)


def _digest(file: BinaryIO, end: int) -> bytes:
    file.seek(0)
    digest = hashlib.sha256()
    while end:
        block = file.read(min(end, 1 << 20))
        digest.update(block)
        end -= len(block)
    return digest.hexdigest().encode()


def _check_bytes(file: BinaryIO, path: Path) -> bool:
    """Whether the file has a digest, which is right; without one, zip's checksums have to do."""
    if not zipfile.is_zipfile(file):
        raise InputError(f"{shown(path)}: truncated, or not a checkpoint{_REMEDY}")
    with zipfile.ZipFile(file) as archive:
        comment = archive.comment
        entries = archive.infolist()
        # torch compresses nothing; a small entry could unpack to more than the memory holds.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _damaged(path, "it is compressed")
        if not comment and (entry := archive.testzip()):
            raise _damaged(path, entry)
    if comment:
        end = file.seek(0, os.SEEK_END) - len(comment) - _COMMENT_LENGTH
        if comment != _DIGEST + _digest(file, end):
            raise _damaged(path, "its checksum is wrong")
    file.seek(0)
    return bool(comment)


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{shown(path)}: damaged checkpoint ({why}){_REMEDY}")


def _system_error(error: BaseException | None) -> OSError | None:
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error
