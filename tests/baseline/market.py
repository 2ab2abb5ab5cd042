"""The market of the baseline: seeded, with trends and crashes in it, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from libs.common.messages import Bar
from libs.common.timeframe import STEP

BEGIN = 1_767_571_200_000_000_000
"""Monday 2026-01-05 00:00 UTC."""
INSTRUMENTS = {"BTC-USDT": 40_000.0, "ETH-USDT": 2_000.0}
TIMEFRAME = "15m"
BARS = 1_600
STEPS_A_BAR = 6


def bars(instrument: str, seed: int = 7, count: int = BARS) -> Iterator[Bar]:
    """`count` bars: a random walk whose drift changes every few hundred bars, and a fall of some percent now and then."""
    random = Random(f"baseline {seed} {instrument}")
    px, drift, step = INSTRUMENTS[instrument], 0.0, STEP[TIMEFRAME]
    for place in range(count):
        if place % 240 == 0:
            drift = random.choice((-1, 0, 1, 1)) * 0.00006
        path = [px]
        for _ in range(STEPS_A_BAR):
            shock = random.gauss(drift, 0.0011)
            if random.random() < 2e-4:
                shock -= random.uniform(0.01, 0.04)
            path.append(path[-1] * math.exp(shock))
        path = [round(each, 2) for each in path]
        opens = BEGIN + place * step
        yield Bar(
            instrument=instrument,
            venue="binance",
            timeframe=TIMEFRAME,
            ts_open=opens,
            ts_close=opens + step,
            open=path[0],
            high=max(path),
            low=min(path),
            close=path[-1],
            volume=round(random.uniform(20, 200), 5),
        )
        px = path[-1]
