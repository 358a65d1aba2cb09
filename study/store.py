"""The results: three Parquet tables under one root, on any file system that pyarrow knows.

    ROOT/trials/*.parquet        one row for each finished trial, written last: it commits the trial
    ROOT/epochs/*.parquet        one row for each epoch of a trial
    ROOT/evaluations/*.parquet   one row for each (trial, data set, split, protocol)

Accuracies are percentages (0 to 100). While a study runs, each trial is a file of its own in every
table, named by its id, so that writing it again changes nothing.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.fs

SCHEMA_VERSION = 1

COMPLETE, PRUNED, DIVERGED, FAILED = STATUSES = ("complete", "pruned", "diverged", "failed")
TUNE, CONFIRM, SINGLE = PHASES = ("tune", "confirm", "single")
"""Phases; ``single`` is a trial run by hand with `mixco trial`."""

# TrialConfig's fields under their own names; a test holds the two together.
CONFIG_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("dataset", pa.string()),
    ("image_size", pa.int64()),
    ("validation_fraction", pa.float64()),
    ("method", pa.string()),
    ("arm", pa.string()),
    ("encoder", pa.string()),
    ("width", pa.int64()),
    ("stem", pa.string()),
    ("projection_dim", pa.int64()),
    ("temperature", pa.float64()),
    ("key_momentum", pa.float64()),
    ("queue_size", pa.int64()),
    ("mix_weight", pa.float64()),
    ("mix_alpha", pa.float64()),
    ("mix_temperature", pa.float64()),
    ("mix_batch_norm", pa.string()),
    ("crop_scale", pa.float64()),
    ("epochs", pa.int64()),
    ("batch_size", pa.int64()),
    ("learning_rate", pa.float64()),
    ("sgd_momentum", pa.float64()),
    ("weight_decay", pa.float64()),
    ("warmup_epochs", pa.float64()),
    ("knn_every", pa.int64()),
    ("knn_k", pa.int64()),
    ("knn_temperature", pa.float64()),
    ("probe", pa.string()),
    ("eval_datasets", pa.list_(pa.string())),
    ("seed", pa.int64()),
    ("device", pa.string()),
    ("precision", pa.string()),
    ("compile", pa.string()),
)

TRIALS = pa.schema(
    [
        # identity
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("study", pa.string()),
        pa.field("cell", pa.string()),  # dataset-method-encoder-wWIDTH-arm
        pa.field("phase", pa.string(), nullable=False),
        pa.field("number", pa.int64()),  # of a tune trial, within its cell, from 0
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
        pa.field("peak_memory", pa.int64()),  # bytes, of the device (GPU) or process (CPU)
        # provenance
        pa.field("train_images", pa.int64()),
        pa.field("scored_images", pa.int64()),
        pa.field("classes", pa.int64()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("hardware", pa.string()),
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
    ]
)

TABLES: dict[str, pa.Schema] = {"trials": TRIALS, "epochs": EPOCHS, "evaluations": EVALUATIONS}
