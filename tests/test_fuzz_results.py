"""Damaged results under the commands that read them: one line, or the rest is read."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from reports.findings import find
from reports.reading import read_results
from reports.store.schema import SCHEMA_VERSION, TABLES
from reports.store.tables import open_store
from study import provenance
from study.agenda import Agenda
from study.dashboard import cell_studies
from study.spec import parse_spec
from tests.complete_study import complete_study
from tests.in_process import mixco
from tests.refusals import line_of
from tests.stored_files import with_column, write_version
from tests.synthetic_study import write_table
from trainables.errors import InputError

SPEC = """
name: fuzzed
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none, mixco]
base: {epochs: 2}
trials: 2
searches: 1
seeds: 1
search: {sampler: random}
trackers: []
"""
RUNS = 2
"""Damaged copies for each kind of damage."""
SLOW = ("plan", "report")
"""Commands that take most of the time: they read the first copy of each kind only."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete study's results, made without training; two trials are not merged yet."""
    root = complete_study(tmp_path_factory.mktemp("whole"), parse_spec(SPEC, "test"))
    names = sorted(path.stem for path in root.glob("trials/*.parquet"))
    single = {
        next(name for name in names if "tune" in name),
        next(name for name in names if "confirm" in name),
    }
    for table in ("trials", "epochs"):
        merged = [root / table / f"{name}.parquet" for name in names if name not in single]
        rows = pa.concat_tables([pq.read_table(path) for path in merged])
        for path in merged:
            path.unlink()
        write_table(root, table, rows)
    return root


Change = Callable[[Path, random.Random], None]


def rewrite(change: Callable[[pa.Table, str], pa.Table]) -> Change:
    """Change one column of one file; the file is of any version of the schema."""

    def apply(root: Path, rng: random.Random) -> None:
        path = rng.choice(sorted(root.glob("*/*.parquet")))
        table = pq.read_table(path)
        name = rng.choice(TABLES[path.parent.name].names)
        changed = change(table, name)
        write_version(path, changed, rng.randint(1, SCHEMA_VERSION))

    return apply


def null(table: pa.Table, name: str) -> pa.Table:
    return with_column(table, name, pa.nulls(len(table), table.schema.field(name).type))


def other_type(table: pa.Table, name: str) -> pa.Table:
    kind = table.schema.field(name).type
    if pa.types.is_list(kind) or pa.types.is_string(kind):
        return with_column(table, name, pa.array(range(len(table)), pa.int64()))
    return with_column(table, name, pc.cast(table[name], pa.string()))


def damage_bytes(root: Path, rng: random.Random) -> None:
    path = rng.choice([path for path in sorted(root.rglob("*")) if path.is_file()])
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 5)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])


def not_utf8(root: Path, rng: random.Random) -> None:
    path = root / rng.choice(["study.yaml", "provenance.json"])
    path.write_bytes(path.read_bytes().replace(b"fuzzed", b"f\xff\xfezed") + b"\x80")


CHANGES: dict[str, Change] = {
    "dropped": rewrite(lambda table, name: table.drop_columns([name])),
    "null": rewrite(null),
    "type": rewrite(other_type),
    "bytes": damage_bytes,
    "not utf-8": not_utf8,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def commands(root: Path, spec: Path) -> dict[str, Callable[[], object]]:
    """The commands that read ``root``; ``spec`` is the study's file."""
    store = str(root)
    confirm = next(root.glob("trials/*confirm*.parquet")).stem

    def run() -> None:  # what `study run` does before the first trial starts
        from study.overview import recorded_rows

        opened = open_store(root)
        provenance.check_same_study(opened, parse_spec(SPEC, "test"))
        Agenda(parse_spec(SPEC, "test"), recorded_rows(opened)).next()

    return {
        "status": lambda: mixco("study", "status", store),
        "plan": lambda: mixco("study", "plan", str(spec), "--untimed", "--results", store),
        "report": lambda: find(*read_results([store])),
        "export": lambda: mixco("export", confirm, "--results", store),
        "repeat": lambda: mixco("trial", "--repeat", f"{confirm}x", "--results", store),
        "dashboard": lambda: cell_studies(open_store(root)),
        "run": run,
    }


@pytest.mark.parametrize("change", CHANGES)
def test_damaged_results_end_in_one_line_or_the_rest_is_read(
    change: str, whole: Path, tmp_path: Path
) -> None:
    rng = random.Random(change)
    root, spec = tmp_path / "results", tmp_path / "fuzzed.yaml"
    spec.write_text(SPEC)
    for number in range(RUNS):
        shutil.copytree(whole, root)
        CHANGES[change](root, rng)
        for name, command in commands(root, spec).items():
            if name in SLOW and number:
                continue
            try:
                ended = command()
            except InputError as error:
                line_of(error)
                continue
            if isinstance(ended, tuple):
                code, _, err = ended
                assert code in (0, 1, 2), (name, ended)
                if code:
                    told = [line for line in err.splitlines() if "damaged, skipped" not in line]
                    assert len(told) == 1, (name, err)
        shutil.rmtree(root)
