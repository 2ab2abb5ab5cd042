"""Seeded one-minute bars for benchmarks: a random walk with noise inside each bar, every bar opening where the one before closed.

Prices have six decimals, so that two moving averages of them are practically never equal and no engine's rounding decides about a trade.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

BEGIN_MS = 1_609_459_200_000
"""2021-01-01T00:00:00Z"""
MINUTE_MS = 60_000
HEADER = "timestamp,open,high,low,close,volume\n"


def rows(count: int, seed: int) -> Iterator[tuple[int, float, float, float, float, float]]:
    """Opening instant (ms), open, high, low, close, volume of so many bars."""
    random = Random(seed)  # noqa: S311  a market, not a secret
    px = 100.0
    for number in range(count):
        close = round(px * (1.0 + random.gauss(0.0, 0.001)), 6)
        high = round(max(px, close) * (1.0 + abs(random.gauss(0.0, 0.0003))), 6)
        low = round(min(px, close) * (1.0 - abs(random.gauss(0.0, 0.0003))), 6)
        yield BEGIN_MS + number * MINUTE_MS, px, high, low, close, round(random.uniform(50_000, 150_000), 1)
        px = close


def write_csv(path: Path, count: int, seed: int) -> None:
    """Write so many bars."""
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(",".join(map(repr, row)) + "\n" for row in rows(count, seed))
