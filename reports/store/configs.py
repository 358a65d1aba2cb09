"""From a row of ``trials`` to the configuration of its trial: the one rule for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.store.schema import CONFIG_FIELDS
from trainables.config import TrialConfig, parse_config


def config_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `TrialConfig` in a row, as plain Python values.

    A field that the row lacks (older rows lack later fields) has its default, which computes what
    was computed when the row was recorded.
    """
    fields = TrialConfig.model_fields
    values = {}
    for name, _ in CONFIG_FIELDS:
        value: Any = row.get(name)
        if hasattr(value, "tolist"):  # numpy's scalars and arrays
            value = value.tolist()
        if isinstance(value, list):
            value = tuple(value)
        missing = value is None or value != value  # NaN stands for null in pandas
        values[name] = fields[name].default if missing else value
    return values


def config_of(row: Mapping[str, Any]) -> TrialConfig:
    """The configuration of a recorded trial.

    Raises:
        InputError: the row's values are none that a trial accepts; names the trial.
    """
    return parse_config(config_values(row), str(row["trial_id"]))
