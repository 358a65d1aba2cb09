"""Small data sets on disk, in each of the layouts that are read."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> Image.Image:
    """A smooth picture of ``size`` (width, height), different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def make_image_folder(
    folder: Path,
    classes: tuple[str, ...] = ("ant", "bee"),
    train: int = 10,
    test: int = 3,
    size: tuple[int, int] = (12, 12),
    mode: str = "RGB",
    test_name: str = "test",
) -> Path:
    """FOLDER/train/CLASS/NN.png and FOLDER/TEST_NAME/CLASS/NN.png."""
    for split, images in (("train", train), (test_name, test)):
        for label, class_name in enumerate(classes):
            place = folder / split / class_name
            place.mkdir(parents=True)
            for index in range(images):
                seed = 10_000 * (split == "train") + 100 * label + index
                picture(seed, size, mode).save(place / f"{index:02}.png")
    return folder


def tiny_imagenet_files(classes: int = 3, train: int = 6, test: int = 2) -> dict[str, bytes]:
    """The files of tiny-imagenet-200 by name, with fewer and smaller images."""
    wnids = [f"n{10_000_000 + 17 * label}" for label in range(classes)]
    root = "tiny-imagenet-200"
    files = {
        f"{root}/wnids.txt": "\n".join(reversed(wnids)).encode() + b"\n",
        f"{root}/words.txt": "".join(f"{w}\tthing {w[-2:]}, res\n" for w in wnids).encode(),
    }
    annotations = []
    for label, wnid in enumerate(wnids):
        files[f"{root}/train/{wnid}/{wnid}_boxes.txt"] = b"x\t0\t0\t1\t1\n"
        for index in range(train):
            mode = "L" if index == 0 else "RGB"  # as in the original, a few are grey
            image = encoded(picture(100 * label + index, (16, 16), mode), "JPEG")
            files[f"{root}/train/{wnid}/images/{wnid}_{index}.JPEG"] = image
        for index in range(test):
            name = f"val_{index * classes + label}.JPEG"
            files[f"{root}/val/images/{name}"] = encoded(
                picture(50_000 + 100 * label + index, (16, 16)), "JPEG"
            )
            annotations.append(f"{name}\t{wnid}\t0\t0\t15\t15\n")
    files[f"{root}/val/val_annotations.txt"] = "".join(annotations).encode()
    return files


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in reversed(files.items()):  # an order of its own
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_parquet(
    path: Path, images: list[bytes | None], labels: list[int], names: list[str] | None
) -> None:
    """A file in the layout that Hugging Face's datasets writes."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("img", struct), ("label", pa.int64())])
    if names is not None:
        features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    rows = [{"bytes": image, "path": None} for image in images]
    columns = [pa.array(rows, struct), pa.array(labels, pa.int64())]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)


def write_columns(path: Path, names: list[str] | None = None, **columns: pa.Array) -> None:
    """A Parquet file of any columns; ``names`` are the class names of the column ``label``."""
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        text = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": text})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def idx_bytes(values: npt.NDArray[np.uint8]) -> bytes:
    """An IDX file of bytes."""
    header = bytes((0, 0, 8, values.ndim))
    return header + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.tobytes()


def cifar10_files(images: int = 20) -> dict[str, bytes]:
    """The pickles of CIFAR-10, with ``images`` in each batch."""
    names = [f"class {label}" for label in range(10)]
    files = {"batches.meta": pickle.dumps({"label_names": names}, protocol=2)}
    batches = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for number, batch in enumerate(batches):
        data = np.random.default_rng(number).integers(0, 256, (images, 3072), dtype=np.uint8)
        entry = {"data": data, "labels": [index % 10 for index in range(images)]}
        files[batch] = pickle.dumps(entry, protocol=2)
    return {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
