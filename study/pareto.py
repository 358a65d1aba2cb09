"""The Pareto front of each search in which width was searched: accuracy up, FLOPs down."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from reports.store.tables import Store
from study.agenda import Agenda
from study.plan import tune_id

FILE = "fronts.parquet"
_SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string()),
        pa.field("search", pa.int64()),
        pa.field("dataset", pa.string()),
        pa.field("method", pa.string()),
        pa.field("encoder", pa.string()),
        pa.field("arm", pa.string()),
        pa.field("width", pa.int64()),
        pa.field("trial_id", pa.string()),
        pa.field("accuracy", pa.float64()),  # of the validation split, percent
        pa.field("encoder_flops", pa.float64()),  # of one image
    ]
)


def fronts(agenda: Agenda) -> pa.Table:
    """The tune trials on the Pareto front of each joint search, by increasing FLOPs."""
    rows = []
    for state in agenda.searches.values():
        if "width" not in state.cell.space:
            continue
        config = state.cell.config
        for number in state.search.pareto_front:
            outcome = state.search.outcomes[number]
            rows.append(
                {
                    "cell": state.cell.name,
                    "search": state.cell.search,
                    "dataset": config.dataset,
                    "method": config.method,
                    "encoder": config.encoder,
                    "arm": config.arm,
                    "width": state.config(number).width,
                    "trial_id": tune_id(state.cell, number),
                    "accuracy": outcome.accuracy,
                    "encoder_flops": outcome.flops,
                }
            )
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def write(store: Store, agenda: Agenda) -> None:
    """Writes the Pareto fronts of a study that searches width; writes nothing for other studies.

    Raises:
        StoreError: the file system refused.
    """
    if agenda.spec.treat_width != "joint":
        return
    sink = pa.BufferOutputStream()
    pq.write_table(fronts(agenda), sink)
    store.write_bytes(FILE, sink.getvalue())
