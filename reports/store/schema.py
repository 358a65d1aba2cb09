"""The columns of the three tables, their types, and the versions of the schema.

A file of an older version is read: its rows have nulls in the columns that came later.
"""

from __future__ import annotations

import typing

import pyarrow as pa

from trainables.config import TrialConfig, value_types
from trainables.own_parameters import Values

SCHEMA_VERSION = 6
VERSION_KEY = b"mixco_schema"

COMPLETE, PRUNED, DIVERGED, FAILED = STATUSES = ("complete", "pruned", "diverged", "failed")
TUNE, CONFIRM, SINGLE = PHASES = ("tune", "confirm", "single")
"""Phases; ``single`` is a trial that a person ran with `mixco trial`."""

ADDED_IN: dict[str, int] = {
    "sync_batch_norm": 2,
    "device_memory": 2,
    "runner": 2,
    "workers": 2,
    "threads": 3,
    "train_fraction": 4,
    "search": 4,
    "right": 4,
    "class_images": 4,
    "own_parameters": 5,
    "colour_strength": 6,
    "batch_norm_groups": 6,
}
"""Columns that came after version 1, each with the version that brought it."""

_ARROW_TYPES: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    tuple: pa.list_(pa.string()),
    Values: pa.map_(pa.string(), pa.string()),  # by name: JSON, since types differ
}


CONFIG_FIELDS: tuple[tuple[str, pa.DataType], ...] = tuple(
    (name, _ARROW_TYPES[kind]) for name, kind in value_types().items()
)
"""The fields of `TrialConfig` in their order; each is a column of ``trials`` of the same name."""

REQUIRED_CONFIG: tuple[str, ...] = tuple(
    name
    for name, field in TrialConfig.model_fields.items()
    if type(None) not in typing.get_args(field.annotation)
)
"""The fields of `TrialConfig` that always have a value."""

TRIALS = pa.schema(
    [
        # identity
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("study", pa.string()),
        pa.field("cell", pa.string()),  # dataset-method-encoder-wWIDTH-arm
        pa.field("phase", pa.string(), nullable=False),
        # the replicate, from 0; `parquet.read` reads null (older rows, trials by hand) as 0
        pa.field("search", pa.int64()),
        pa.field("number", pa.int64()),  # of a tune trial, within its cell's search, from 0
        pa.field("tuned_from", pa.string()),  # confirm: the tune trial whose config this is
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        *[pa.field(name, kind) for name, kind in CONFIG_FIELDS],
        # result
        pa.field("split", pa.string()),  # validation in tune, test in confirm and single
        pa.field("accuracy", pa.float64()),  # top-1 of the config's probe on that split, percent
        pa.field("knn_accuracy", pa.float64()),
        pa.field("top5_accuracy", pa.float64()),
        pa.field("alignment", pa.float64()),
        pa.field("uniformity", pa.float64()),
        pa.field("effective_rank", pa.float64()),
        pa.field("loss", pa.float64()),  # of the last epoch
        # capacity and compute
        pa.field("parameters", pa.int64()),  # of the encoder, projection head excluded
        pa.field("encoder_flops", pa.int64()),  # forward pass of one image through the encoder
        pa.field("flops", pa.float64()),  # forward and backward, encoder and head, whole trial
        pa.field("epochs_done", pa.int64()),
        pa.field("images", pa.int64()),  # training images seen, once each epoch
        pa.field("seconds", pa.float64()),  # training and evaluation
        pa.field("gpu_hours", pa.float64()),
        pa.field("cpu_hours", pa.float64()),  # CPUs allotted times hours
        pa.field("peak_memory", pa.int64()),  # bytes, of the device (GPU) or process (CPU); of
        # several workers, the one that took most
        pa.field("device_memory", pa.int64()),  # bytes that the GPU has; null on a CPU
        # provenance
        pa.field("train_images", pa.int64()),
        pa.field("scored_images", pa.int64()),
        pa.field("classes", pa.int64()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("runner", pa.string()),  # reused or train
        pa.field("workers", pa.int64()),  # processes that shared each batch
        pa.field("threads", pa.int64()),  # of each worker on a CPU; null on a GPU
        pa.field("hardware", pa.string()),  # for people
        pa.field("hostname", pa.string()),
        pa.field("started_at", pa.timestamp("ms", tz="UTC")),
        pa.field("finished_at", pa.timestamp("ms", tz="UTC")),
        pa.field("version", pa.string()),
        pa.field("git_revision", pa.string()),
        pa.field("torch_version", pa.string()),
    ]
)

EPOCHS = pa.schema(
    [
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),  # from 1
        pa.field("loss", pa.float64()),
        pa.field("contrastive_loss", pa.float64()),
        pa.field("mixing_loss", pa.float64()),  # before mix_weight; null where nothing is mixed
        pa.field("knn_accuracy", pa.float64()),  # on the split that the phase may see; null between
        pa.field("learning_rate", pa.float64()),  # at the end of the epoch
        pa.field("images", pa.int64()),  # since the start of the trial
        pa.field("seconds", pa.float64()),  # of this epoch, evaluation included
        pa.field("images_per_second", pa.float64()),  # of training alone
    ]
)

EVALUATIONS = pa.schema(
    [
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),  # knn, linear, linear_sgd
        pa.field("top1", pa.float64()),
        pa.field("top5", pa.float64()),
        pa.field("images", pa.int64()),
        pa.field("seconds", pa.float64()),
        # one bit for each scored image, 1 where it was classified right (numpy.packbits); images
        # ordered by class, then by their place in the split; null where not kept
        pa.field("right", pa.binary()),
        pa.field("class_images", pa.list_(pa.int64())),  # scored images of each class
    ]
)

TABLES: dict[str, pa.Schema] = {"trials": TRIALS, "epochs": EPOCHS, "evaluations": EVALUATIONS}


def stamped(schema: pa.Schema) -> pa.Schema:
    """The schema with its version in the metadata, as files have it."""
    return schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})
