"""What the projection costs beside the bare driver: the same rows, in the same commits, into the same tables of the same Postgres.

    python -m benchmarks.ledger_rows [--cycles 600] [--batch 500] [--rounds 3]

Ours decodes every event, makes its rows and writes them with their position. The floor gets the rows ready-made and writes each table's by `executemany`
in psycopg's pipeline mode, with the same ON CONFLICT clauses, and the position, in one commit a batch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import JSON, URL

from libs.common.codec import decode_from
from libs.runtime.adapter import LogEntry
from services.ledger.adapters.projection import Projection
from services.ledger.adapters.rows import rows_of
from services.ledger.adapters.tables import METADATA
from tests.e2e.ledger.databases import LocalPostgres
from tests.e2e.ledger.followable_log import a_log

Written = tuple[str, list[tuple[Any, ...]]]


def ready_made(entries: Sequence[LogEntry]) -> tuple[list[Written], int]:
    """What one batch writes: statements with their rows, and how many rows an event log of this length has."""
    statements: dict[str, list[tuple[Any, ...]]] = {}
    newest: dict[tuple[str, Any], tuple[Any, ...]] = {}
    order = {table.name: place for place, table in enumerate(METADATA.sorted_tables)}
    for entry in entries:
        for row in rows_of(entry.seq, decode_from(entry.subject, entry.payload)):
            names = list(row.values)
            keys = [column.name for column in row.table.primary_key]
            conflict = "DO NOTHING"
            if row.is_newer:
                kept = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
                conflict = f"({', '.join(keys)}) DO UPDATE SET {kept} WHERE {row.table.name}.updated_seq < excluded.updated_seq"  # nosec B608  # our own names
            marks = ", ".join(["%s"] * len(names))
            text = f"INSERT INTO {row.table.name} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT {conflict}"  # noqa: S608  # nosec B608  # our own names
            values = tuple(
                json.dumps(value) if isinstance(row.table.c[name].type, JSON) else value
                for name, value in row.values.items()
            )
            if row.is_newer:
                newest[text, tuple(row.values[key] for key in keys)] = values
            else:
                statements.setdefault(text, []).append(values)
    for (text, _), values in newest.items():
        statements.setdefault(text, []).append(values)
    written = sorted(statements.items(), key=lambda each: (order[each[0].split()[2]], "UPDATE" in each[0]))
    return written, sum(len(rows) for _, rows in written)


def bare(url: URL, batches: Sequence[list[Written]]) -> float:
    """Seconds of the driver alone."""
    Projection.open(url).close()
    info = url.set(drivername="postgresql").render_as_string(hide_password=False)
    position = "INSERT INTO projection_position VALUES ('ledger-sql', %s, 'x') ON CONFLICT (reader) DO UPDATE SET seq = excluded.seq"
    with psycopg.connect(info) as connection:
        began = time.perf_counter()
        for number, batch in enumerate(batches):
            with connection.transaction(), connection.pipeline(), connection.cursor() as cursor:
                for text, rows in batch:
                    cursor.executemany(text, rows)  # type: ignore[arg-type]
                cursor.execute(position, (number,))
        return time.perf_counter() - began


def ours(url: URL, batches: Sequence[Sequence[LogEntry]]) -> float:
    """Seconds of the projection, decoding included."""
    projection = Projection.open(url)
    began = time.perf_counter()
    for batch in batches:
        projection.apply(batch)
    took = time.perf_counter() - began
    projection.close()
    return took


def measure(cycles: int, batch: int, rounds: int) -> dict[str, float]:
    """Medians over alternating rounds, each in a database of its own."""
    log = a_log(cycles)
    batches = [log[start : start + batch] for start in range(0, len(log), batch)]
    made = [ready_made(each) for each in batches]
    rows = sum(count for _, count in made)
    server = LocalPostgres()
    try:
        took: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(rounds):
            took["bare"].append(bare(server.new(), [each for each, _ in made]))
            took["ours"].append(ours(server.new(), batches))
    finally:
        server.close()
    rates = {name: rows / statistics.median(values) for name, values in took.items()}
    return {
        "events": len(log),
        "rows": rows,
        "batch": batch,
        "bare_rows_per_s": round(rates["bare"]),
        "ours_rows_per_s": round(rates["ours"]),
        "ratio": round(rates["ours"] / rates["bare"], 3),
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=600)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(json.dumps(measure(given.cycles, given.batch, given.rounds)))


if __name__ == "__main__":
    main()
