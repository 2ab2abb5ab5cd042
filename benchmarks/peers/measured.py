"""What every engine's script shares: its arguments, the bars as columns, and the one line of JSON it ends with.

No import beyond the standard library: this runs in the environment of every engine. The clock is CPU time of the process, so that what else runs on
the machine costs nobody; start-up is all of it from the process's first instant until `run` begins (imports, reading the file, warming).
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

FAST, SLOW = 20, 50
"""The simple moving averages: long while the fast one is above the slow one, flat otherwise."""
NS = 1_000_000


def arguments(about: str, more: Callable[[argparse.ArgumentParser], None] | None = None) -> argparse.Namespace:
    """What every script is told: the file of bars, the cash, the fee as a fraction of what is traded."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("file", help="bars as CSV: timestamp (ms), open, high, low, close, volume")
    parser.add_argument("--cash", type=float, default=1_000_000.0)
    parser.add_argument("--fee", type=float, default=0.001)
    parser.add_argument("--limit", type=int, default=0, help="play so many bars only; 0: all")
    parser.add_argument("--trades", default="", help="write the bars at which it bought and sold here, as JSON")
    if more is not None:
        more(parser)
    return parser.parse_args()


def columns(path: str, limit: int = 0) -> dict[str, array[Any]]:
    """The columns of the file: `timestamp` as integers, the others as floats."""
    names = ("timestamp", "open", "high", "low", "close", "volume")
    found: dict[str, array[Any]] = {name: array("q" if name == "timestamp" else "d") for name in names}
    into = [found[name].append for name in names]
    with open(path, newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for number, row in enumerate(rows):
            if limit and number >= limit:
                break
            into[0](int(row[0]))
            for put, cell in zip(into[1:], row[1:], strict=True):
                put(float(cell))
    return found


class Run:
    """One measured run: `with Run(...) as run: ...` around the engine's own work, and then `report`."""

    def __enter__(self) -> Run:
        self._wall = time.perf_counter()
        self._began = time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self._cpu = time.process_time() - self._began
        self._wall = time.perf_counter() - self._wall

    def report(
        self, told: argparse.Namespace, *, engine: str, bars: int, orders: int, equity: float, **more: Any
    ) -> None:
        """Print the line. `orders` is how many orders filled, `equity` what is there in the end, the position at the last close."""
        places = more.pop("places", None)
        if told.trades and places is not None:
            with open(told.trades, "w") as file:
                json.dump(places, file)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children.ru_maxrss)
        line = {
            "engine": engine,
            "bars": bars,
            "cpu_s": round(self._cpu, 3),
            "wall_s": round(self._wall, 3),
            "bars_per_cpu_s": round(bars / self._cpu),
            "start_up_cpu_s": round(self._began, 2),
            "peak_rss_mb": round(peak / 1024 if sys.platform == "linux" else peak / 1024**2, 1),
            "orders": orders,
            "equity": equity,
            **more,
        }
        print(json.dumps(line))
