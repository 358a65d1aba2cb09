"""From a row of ``trials`` to the configuration of its trial: the one rule for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.store.schema import CONFIG_FIELDS
from trainables.config import TrialConfig, parse_config
from trainables.own_parameters import Values


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


def value_in(row: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The value of a field of `TrialConfig`, or of an own parameter, in a row."""
    return row[name] if name in row else (row.get("own_parameters") or {}).get(name, default)


def with_columns(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row as Arrow takes it: the map ``own_parameters`` holds JSON, since its types differ."""
    own = row.get("own_parameters")
    if own is None:
        return row
    return {**row, "own_parameters": [(name, json.dumps(value)) for name, value in own.items()]}


def with_values(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that were read, with ``own_parameters`` as `Values`; older rows have none."""
    if "own_parameters" not in rows:
        return rows
    found = [_values(pairs) for pairs in rows["own_parameters"]]
    return rows.assign(own_parameters=pd.Series(found, rows.index, object))


def _values(pairs: Any) -> Values | None:
    return None if pairs is None else Values({name: json.loads(text) for name, text in pairs})


def config_of(row: Mapping[str, Any]) -> TrialConfig:
    """The configuration of a recorded trial.

    Raises:
        InputError: the row's values are none that a trial accepts; names the trial.
    """
    return parse_config(config_values(row), str(row["trial_id"]))
