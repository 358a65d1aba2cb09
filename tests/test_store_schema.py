"""Columns and configurations over the versions of the schema."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reports.store.configs import config_of
from reports.store.schema import CONFIG_FIELDS
from reports.store.tables import open_store
from study import local_trial
from study.overview import recorded_rows
from tests.stored_files import write_version
from tests.trial_rows import trial_row
from trainables.config import LATER_FIELDS, TrialConfig


def test_every_config_field_is_a_column_in_the_same_order() -> None:
    assert [name for name, _ in CONFIG_FIELDS] == list(TrialConfig.model_fields)


def test_later_fields_at_their_defaults_change_no_trials_name() -> None:
    # Recorded with the first schema, before any later field existed.
    assert TrialConfig().digest() == "117fcc43"
    recorded = TrialConfig(dataset="digits", method="simclr", width=8, seed=3)
    assert recorded.digest() == "f7f1fbff"
    assert recorded.model_copy(update={"sync_batch_norm": False}).digest() != "f7f1fbff"


@pytest.mark.parametrize("sync", [True, False])
def test_rows_of_the_first_schema_have_the_defaults_of_later_fields(
    sync: bool, tmp_path: Path
) -> None:
    config = TrialConfig(dataset="digits", image_size=16, sync_batch_norm=sync)
    store = open_store(tmp_path, create=True)
    row = {**local_trial.identity(config), "status": "complete", "accuracy": 50.0}
    row |= {"workers": 2, "runner": "train"}
    store.append(row)
    assert config_of(recorded_rows(store)[0]) == config
    assert config_of(local_trial.find(store, row["trial_id"])) == config
    (path,) = tmp_path.glob("trials/*.parquet")
    table = pq.read_table(path).drop_columns([*LATER_FIELDS, "workers", "runner"])
    write_version(path, table, 1)
    old = config.model_copy(update={"sync_batch_norm": True})
    assert config_of(recorded_rows(store)[0]) == old
    assert config_of(local_trial.find(store, row["trial_id"])) == old
    assert recorded_rows(store)[0]["workers"] is None


def test_rows_without_a_search_are_read_as_the_first_one_and_bits_of_images_come_back(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path, create=True)
    evaluation = {"dataset": "digits", "split": "test", "protocol": "linear"}
    right = {"right": b"\xa0", "class_images": [2, 1]}
    store.append(trial_row("by-hand"), evaluations=[evaluation])
    store.append(trial_row("second", search=1), evaluations=[evaluation | right])
    for name, added in (("trials", ["search"]), ("evaluations", ["right", "class_images"])):
        path = tmp_path / name / "by-hand.parquet"
        older = pq.read_table(path).drop_columns(added)
        write_version(path, older, 2)
    for _ in range(2):
        trials = open_store(tmp_path).read("trials", ["search"])
        assert trials["search"].tolist() == [0, 1]
        assert trials["search"].dtype == "int64"
        evaluations = store.read("evaluations").set_index("trial_id")
        assert evaluations.loc["second", "right"] == b"\xa0"
        assert evaluations.loc["second", "class_images"].tolist() == [2, 1]
        assert evaluations.loc["by-hand", "right"] is None
        store.compact()
