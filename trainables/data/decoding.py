"""From stored images to the pixels of a cache: orientation, channels, size, in threads."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from trainables.data.records import Records
from trainables.device.cpus import usable_cpus
from trainables.errors import InputError, cause

_UPRIGHT = 1
_PNG_MARKS = (b"eXIf", b"Raw profile type exif", b"com.adobe.xmp")

T = TypeVar("T")


def decode_blocks(
    records: Records,
    order: npt.NDArray[np.int64],
    shape: tuple[int, int, int],
    per_block: int,
    progress: Callable[[int, int], None],
) -> Iterator[npt.NDArray[np.uint8]]:
    """Blocks [B, C, H, W] of the images ``order``, each image of ``shape`` [C, H, W].

    B is ``per_block``, except in the last block.

    Raises:
        InputError: an image cannot be decoded; its file is named.
    """

    def decode(places: range) -> npt.NDArray[np.uint8]:
        block = np.empty((len(places), *shape), np.uint8)
        for row, index in enumerate(order[places.start : places.stop]):
            with naming_corrupt(records, int(index)):
                content, image = records.read(int(index))
                block[row] = square_pixels(upright(content, image), shape)
        return block

    done = 0
    for block in in_threads(decode, len(order), per_block):
        yield block
        done += len(block)
        progress(done, len(order))


def orientation(content: bytes, image: Image.Image) -> int:
    """The EXIF orientation (1 to 8) of an image; 1, which is upright, where none can be read."""
    if image.format in (None, "TIFF"):  # an array has none; Pillow turns a TIFF itself
        return _UPRIGHT
    # Pillow decodes a whole PNG to look for EXIF data behind its pixels.
    if image.format == "PNG" and not any(mark in content for mark in _PNG_MARKS):
        return _UPRIGHT
    value = None
    with contextlib.suppress(Exception):  # cameras write damaged EXIF data; the image is still good
        value = image.getexif().get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def upright(content: bytes, image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says."""
    if orientation(content, image) == _UPRIGHT:
        return image
    return ImageOps.exif_transpose(image)


def upright_size(image: Image.Image, turned: int) -> tuple[int, int]:
    """Width and height of `upright`, from the orientation ``turned`` and without decoding."""
    width, height = image.size
    return (height, width) if turned >= 5 else (width, height)


def square_pixels(image: Image.Image, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """An image as uint8 [C, H, W]: the short side is resized (bilinear), the centre cropped."""
    channels, size, _ = shape
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}; 8 or 16 bits for each channel are allowed")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


@contextlib.contextmanager
def naming_corrupt(records: Records, index: int) -> Iterator[None]:
    """Turn the many kinds of errors that Pillow raises into an error that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # The message of an unknown kind is an object's address.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its kind is unknown" if unknown else cause(error)
        raise InputError(f"{records.where(index)}: not a readable image ({reason})") from None


def in_threads(work: Callable[[range], T], total: int, step: int) -> Iterator[T]:
    """``work`` on each range of ``step`` out of ``total``, in order. Threads work a bit ahead."""
    threads = usable_cpus()
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[T]] = deque()
    try:
        for start in range(0, total, step):
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, range(start, min(start + step, total))))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
