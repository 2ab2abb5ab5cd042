"""Which days a book was traded on paper against a live market, in wall time: what a log proves, and what it does not.

Nothing but the log is asked. In which world a day was lived is told by the settings of each start of the feed (where its prices come from, by
which clock they are dated) and of the executor (where its orders go), and by the first event of the book. The clock is checked against the
market as well: the venue's minutes end by its own time, so a clock that runs otherwise, by whatever means, leaves them early or late.

A day counts if nothing spoils it, not even for a moment, and the home venue's feed was live for `LIVE_SHARE_MIN` of it. Time is live between
two words of a live feed that are at most `SILENCE_S_MAX` apart: a feed that has died says nothing, and is not taken for live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    Message,
    ServiceStarted,
)
from libs.common.timeframe import DAY, SECOND
from libs.runtime.adapter import LogEntry
from libs.trading.binance_ccxt import PRODUCTION_URL

LIVE_SHARE_MIN = 0.9
SILENCE_S_MAX = 10
BAR_LAG_S_MAX = 300
REAL_MARKETS = (PRODUCTION_URL,)
"""Whatever else a feed reads is taken for a simulation, whoever serves it."""

Reason = Literal[
    "",
    "NOT_A_PAPER_BOOK",
    "SIMULATED_CLOCK",
    "SIMULATED_MARKET",
    "REAL_ORDERS",
    "WORLD_UNTOLD",
    "CLOCK_OFF",
    "FEED_NOT_LIVE",
]
_SPOILERS: tuple[Reason, ...] = (
    "NOT_A_PAPER_BOOK",
    "SIMULATED_CLOCK",
    "SIMULATED_MARKET",
    "REAL_ORDERS",
    "WORLD_UNTOLD",
)
"""The worst first. WORLD_UNTOLD: the log is of a version that did not tell, or an executor has never started."""

_SAID = ("feed.marks", "feed.status", "feed.bars", "feed.started", "exec.started", "exec.report.", "ops.")


class PaperDay(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day on which the feed said anything: `live_s` seconds of it live, `trades` fills of ours, and why it does not count."""

    day: date
    live_s: float
    trades: int
    counts: bool
    reason: Reason


class _Day(msgspec.Struct):
    live_ns: int = 0
    trades: int = 0
    minutes: set[int] = msgspec.field(default_factory=set)
    spoilers: set[Reason] = msgspec.field(default_factory=set)
    has_executor: bool = False

    def told(self, number: int) -> PaperDay:
        spoilers = self.spoilers if self.has_executor else {*self.spoilers, "WORLD_UNTOLD"}
        reason: Reason = next((each for each in _SPOILERS if each in spoilers), "")
        live_s = self.live_ns / SECOND
        if not reason and len(self.minutes) * 60 < LIVE_SHARE_MIN * live_s - 120:
            reason = "CLOCK_OFF"
        if not reason and self.live_ns < LIVE_SHARE_MIN * DAY:
            reason = "FEED_NOT_LIVE"
        day = datetime.fromtimestamp(number * DAY // SECOND, UTC).date()
        return PaperDay(day=day, live_s=live_s, trades=self.trades, counts=not reason, reason=reason)


def paper_days(entries: Iterable[LogEntry]) -> list[PaperDay]:
    """The days of a log, in order; entries that are no events of ours are passed over."""
    reading = _Reading()
    for entry in entries:
        if entry.subject.startswith(_SAID):
            try:
                reading.take(decode_from(entry.subject, entry.payload))
            except BadEvent:
                continue
    return [day.told(number) for number, day in sorted(reading.days.items())]


class _Reading:
    """What is known at one place of the log."""

    def __init__(self) -> None:
        self.days: dict[int, _Day] = {}
        self._mode = ""
        self._feed: dict[str, Any] | None = None
        self._executor: dict[str, Any] | None = None
        self._is_live = False
        self._heard_at = 0

    def take(self, message: Message) -> None:
        match message:
            case GenesisDeclared():
                self._mode = message.mode
            case ServiceStarted(producer="feed"):
                self._feed, self._heard_at = message.settings, 0
            case ServiceStarted(producer="exec"):
                self._executor = message.settings
            case FeedStatus():
                self._hear(message.ts_init)
                home = (self._feed or {}).get("venue", message.venue)
                self._is_live = message.state == "LIVE" and message.venue == home
            case FeedMarks():
                self._hear(message.ts_init)
            case FeedBars():
                self._hear(message.ts_init)
                if abs(message.ts_init - message.end_ts) <= BAR_LAG_S_MAX * SECOND:
                    self._day(message.ts_init).minutes.add(message.end_ts)
            case ExecutionReport(exec_type="TRADE"):
                self._day(message.ts_init).trades += 1

    def _hear(self, ts: int) -> None:
        """The feed has said something: since its last word it was live, if it said so and has not been silent."""
        self._day(ts)
        if self._is_live and self._heard_at and 0 < ts - self._heard_at <= SILENCE_S_MAX * SECOND:
            for day, length in _split(self._heard_at, ts):
                self._day(day * DAY).live_ns += length
        self._heard_at = ts

    def _day(self, ts: int) -> _Day:
        day = self.days.setdefault(ts // DAY, _Day())
        day.spoilers.update(self._spoilers())
        day.has_executor = day.has_executor or self._executor is not None
        return day

    def _spoilers(self) -> Iterator[Reason]:
        feed, executor = self._feed or {}, self._executor or {}
        if self._mode != "paper":
            yield "NOT_A_PAPER_BOOK"
        if feed.get("clock_url") or executor.get("clock_url"):
            yield "SIMULATED_CLOCK"
        if feed.get("market_url", "") not in ("", *REAL_MARKETS):
            yield "SIMULATED_MARKET"
        if executor.get("venue_url", "").startswith("https:"):
            yield "REAL_ORDERS"
        if not feed.get("market_url") or (self._executor is not None and not executor.get("venue_url")):
            yield "WORLD_UNTOLD"


def _split(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The days that [start, end) touches, with how much of it lies in each."""
    while start < end:
        until = min(end, (start // DAY + 1) * DAY)
        yield start // DAY, until - start
        start = until
