"""What the levels detector finds where the truth is known, and what it costs.

    python -m benchmarks.levels [--seeds 100]        prints JSON

* `planted`: recall (of planted levels with at least 4 touches, within 0.25 ATR) and precision, plain and under stress;
* `placebo`: the same levels, moved together by a random part of the series' range;
* `walks`: how many levels a random walk is said to have, on average and at most;
* `ms`: building the map of 1,500 bars, and asking it for its levels and its volume profile once (the least of 5).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from statistics import mean
from typing import Any

from libs.trading.price_map import PriceMap
from tests.unit.trading.planted import HOUR_NS, Row, Said, moved, planted, scored, walk

PLANTED_FROM, WALKS_FROM = 1000, 2000
TERMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "jitter 0.2": {"jitter": 0.2},
    "decoys 0.4": {"decoys": 0.4},
    "hold 0.6": {"hold": 0.6},
    "10 levels": {"count": 10},
}


def mapped(rows: list[Row]) -> PriceMap:
    """The map after `rows`, as the agent would have it with 1,500 bars."""
    price_map = PriceMap(bars_max=1500, tau=1000 * HOUR_NS)
    for row in rows:
        price_map.update(*row)
    return price_map


def said_of(seeds: range, **terms: Any) -> list[Said]:
    """What is said of each planted series."""
    said = []
    for truth in (planted(seed, **terms) for seed in seeds):
        price_map = mapped(truth.rows)
        said.append(Said(truth, price_map.atr, [zone.mid for zone in price_map.levels()]))
    return said


def in_words(said: list[Said]) -> dict[str, float]:
    """The score of what was said."""
    return {name: round(number, 3) for name, number in scored(said)._asdict().items()}


def least_ms(work: Callable[[], object]) -> float:
    """The least time of five runs, in ms."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begun))
    return round(min(times), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    count = parser.parse_args().seeds
    seeds = range(PLANTED_FROM, PLANTED_FROM + count)
    said = {name: said_of(seeds, **terms) for name, terms in TERMS.items()}
    walks = [len(mapped(walk(seed)).levels()) for seed in range(WALKS_FROM, WALKS_FROM + 2 * count)]
    rows = planted(PLANTED_FROM).rows
    price_map = mapped(rows)
    result = {
        "planted": {name: in_words(each) for name, each in said.items()},
        "placebo": in_words(moved(said["plain"], random.Random(7))),  # noqa: S311  (a placebo)
        "walks": {"mean": round(mean(walks), 3), "max": max(walks), "series": len(walks)},
        "ms": {
            "build": least_ms(lambda: mapped(rows)),
            "levels": least_ms(price_map.levels),
            "profile": least_ms(price_map.profile),
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
