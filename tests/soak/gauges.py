"""What a process holds, looked at again and again, and whether it grew after the warm-up."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from statistics import median

import msgspec

from services.market_feed.adapters.feed import MarketFeed

MIB = 1 << 20
RSS_SHARE_MAX, RSS_MIB_MAX = 0.03, 6.0
"""The last quarter's median may be larger than the second quarter's by this share and so many MiB: allocators keep what they had."""
COUNT_MAX = 6
"""So many more tasks, descriptors or cached things may be there: a connection that is just being made has a few."""


class Sample(msgspec.Struct, frozen=True):
    """One look. `cached`: everything in ccxt's caches of trades, quotes, subscriptions and futures, of all venues."""

    at_s: float
    rss_mib: float
    tasks: int
    descriptors: int
    cached: int


def sampled(feed: MarketFeed) -> Sample:
    """Look now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        at_s=time.monotonic(),
        rss_mib=pages * os.sysconf("SC_PAGE_SIZE") / MIB,
        tasks=len(asyncio.all_tasks()),
        descriptors=len(os.listdir("/proc/self/fd")),
        cached=sum(_cached(line.rest.exchange) for line in feed.lines.values()),
    )


def _cached(exchange: object) -> int:
    clients = (getattr(exchange, "clients", None) or {}).values()
    told = sum(len(cache) for cache in (getattr(exchange, "trades", None) or {}).values())
    quotes = sum(len(getattr(exchange, name, None) or ()) for name in ("tickers", "bidsasks", "orderbooks"))
    held = sum(len(each.futures) + len(each.subscriptions) + len(each.rejections) for each in clients)
    return told + quotes + held + len(clients)


class Growth(msgspec.Struct, frozen=True):
    """Medians of the second and of the last quarter of a run."""

    name: str
    second: float
    last: float
    most: float

    @property
    def is_flat(self) -> bool:
        """Whether it stayed within the tolerance."""
        return self.last <= self.most

    def __str__(self) -> str:
        verdict = "flat" if self.is_flat else "GROWS"
        return f"{self.name}: {self.second:.1f} in the 2nd quarter, {self.last:.1f} in the last (at most {self.most:.1f}): {verdict}"


def growth(samples: list[Sample]) -> list[Growth]:
    """How each gauge went."""
    quarter = len(samples) // 4
    found = []
    for name in ("rss_mib", "tasks", "descriptors", "cached"):
        second, last = (
            median(getattr(each, name) for each in part)
            for part in (samples[quarter : 2 * quarter], samples[3 * quarter :])
        )
        most = second * (1 + RSS_SHARE_MAX) + RSS_MIB_MAX if name == "rss_mib" else second + COUNT_MAX
        found.append(Growth(name, second, last, most))
    return found
