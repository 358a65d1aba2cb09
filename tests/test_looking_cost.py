"""What it costs to look at a study: files opened and configurations validated, not seconds."""

from __future__ import annotations

import collections
from pathlib import Path

import pyarrow as pa
import pytest

from reports.store.files import Files
from study.spec import parse_spec
from tests.complete_study import complete_study
from tests.in_process import mixco
from trainables.config import TrialConfig

SPEC = """
name: looked-at
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none, mixco]
base: {{epochs: 2}}
trials: {trials}
searches: 1
seeds: 2
search: {{sampler: random}}
trackers: []
"""


@pytest.mark.parametrize("command", ["status", "plan"])
def test_looking_opens_each_file_once_and_validates_no_row(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: collections.Counter[str] = collections.Counter()
    validated = []
    open_file, validate = Files.open_file, TrialConfig.model_validate

    def counted_open(files: Files, target: str) -> pa.NativeFile:
        opened[target] += target.endswith(".parquet")
        return open_file(files, target)

    def counted_validate(values: object) -> TrialConfig:
        validated.append(values)
        return validate(values)

    counts = []
    for trials in (2, 6):
        text = SPEC.format(trials=trials)
        root = complete_study(tmp_path / str(trials), parse_spec(text, "test"))
        spec = tmp_path / f"{trials}.yaml"
        spec.write_text(text)
        opened.clear()
        validated.clear()
        arguments = {
            "status": ("study", "status", str(root)),
            "plan": ("study", "plan", str(spec), "--untimed", "--results", str(root)),
        }[command]
        with monkeypatch.context() as patch:
            patch.setattr(Files, "open_file", counted_open)
            patch.setattr(TrialConfig, "model_validate", counted_validate)
            ended = mixco(*arguments)
        assert ended.code == 0, ended.err
        read = {path: times for path, times in opened.items() if times}
        assert read == {str(path): 1 for path in root.glob("trials/*.parquet")}
        counts.append(len(validated))
    assert counts[0] == counts[1] > 0
