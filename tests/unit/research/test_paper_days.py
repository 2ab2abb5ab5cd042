"""Which days a log proves to be paper trading on a live market, in wall time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from libs.common.codec import encode
from libs.common.messages import (
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    Message,
    ServiceStarted,
)
from libs.common.subjects import subject_of
from libs.common.timeframe import DAY, HOUR, MINUTE, SECOND
from libs.research.paper_days import PaperDay, paper_days
from libs.runtime.adapter import LogEntry

MIDNIGHT = 20_700 * DAY
FEED = {"venue": "binance", "instruments": ["BTC-USDT"], "market_url": "https://api.binance.com", "clock_url": ""}
EXEC = {"venue_url": "http://127.0.0.1:4202", "clock_url": ""}


def began(producer: str, settings: dict[str, Any], ts: int) -> Message:
    return ServiceStarted(
        producer=producer, ts_init=ts, instance="up", code_version="1", settings=settings, state_digest=""
    )


def status(ts: int, state: str = "LIVE", venue: str = "binance") -> Message:
    told = {"via": "SOCKETS", "reason": "", "health": {}, "specs": ()}
    return FeedStatus(producer="feed", ts_init=ts, venue=venue, state=state, **told)  # type: ignore[arg-type]


def fill(ts: int) -> Message:
    told: dict[str, Any] = dict.fromkeys(("avg_px", "last_px", "commission"), Decimal(1))
    words = dict.fromkeys(("intent_id", "venue_order_id", "commission_asset", "reason"), "")
    return ExecutionReport(
        **told,
        **words,
        producer="exec",
        ts_init=ts,
        cl_ord_id="a",
        exec_id="1",
        role="ENTRY",
        exec_type="TRADE",
        ord_status="FILLED",
        instrument="BTC-USDT",
        side="BUY",
        order_qty=Decimal(1),
        cum_qty=Decimal(1),
        leaves_qty=Decimal(0),
        last_qty=Decimal(1),
        liquidity_side="TAKER",
    )


def feeding(start: int, end: int, *, late: int = 0) -> Iterator[Message]:
    """Marks every ten seconds and a bar every minute; bars are dated by a clock that is `late` ns off."""
    for ts in range(start, end, 10 * SECOND):
        yield FeedMarks(producer="feed", ts_init=ts, venue="binance", as_of=ts, marks=(), alive=("BTC-USDT",))
        if ts % MINUTE == 0:
            yield FeedBars(producer="feed", ts_init=ts, end_ts=ts - late, bars=())


def beginning(
    mode: str = "paper", feed: dict[str, Any] = FEED, executor: dict[str, Any] | None = EXEC
) -> list[Message]:
    first: list[Message] = [
        GenesisDeclared(producer="ops.cli", ts_init=MIDNIGHT, book="main", mode=mode, author="me"),  # type: ignore[arg-type]
        began("feed", feed, MIDNIGHT),
    ]
    return first + ([] if executor is None else [began("exec", executor, MIDNIGHT)]) + [status(MIDNIGHT)]


def days_of(messages: list[Message]) -> list[PaperDay]:
    return paper_days(LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(messages, start=1))


@pytest.mark.parametrize(
    ("first", "late", "reason"),
    [
        (beginning(), 0, "FEED_NOT_LIVE"),
        (beginning(mode="sim"), 0, "NOT_A_PAPER_BOOK"),
        (beginning(mode="live"), 0, "NOT_A_PAPER_BOOK"),
        (beginning(feed=FEED | {"market_url": "http://127.0.0.1:4202"}), 0, "SIMULATED_MARKET"),
        (beginning(feed=FEED | {"market_url": "https://api.binance.com.example"}), 0, "SIMULATED_MARKET"),
        (beginning(feed=FEED | {"clock_url": "ws://127.0.0.1:4202/sim/clock"}), 0, "SIMULATED_CLOCK"),
        (beginning(executor=EXEC | {"clock_url": "ws://127.0.0.1:4202/sim/clock"}), 0, "SIMULATED_CLOCK"),
        (beginning(executor=EXEC | {"venue_url": "https://api.binance.com"}), 0, "REAL_ORDERS"),
        (beginning(feed={"venue": "binance", "instruments": []}), 0, "WORLD_UNTOLD"),
        (beginning(executor={}), 0, "WORLD_UNTOLD"),
        (beginning(executor=None), 0, "WORLD_UNTOLD"),
        (beginning(), HOUR, "CLOCK_OFF"),
        (beginning(), -HOUR, "CLOCK_OFF"),
    ],
)
def test_why_an_hour_makes_no_day(first: list[Message], late: int, reason: str) -> None:
    """A clock, a market or a venue that is not the real one is named before anything else; then how short it was."""
    (day,) = days_of([*first, *feeding(MIDNIGHT, MIDNIGHT + HOUR, late=late)])
    assert (day.counts, day.reason, day.live_s) == (False, reason, 3590.0)


def test_a_whole_day_of_a_live_feed_counts() -> None:
    """With its fills; the day after it, which has only begun, does not yet."""
    told = [*feeding(MIDNIGHT, MIDNIGHT + DAY + HOUR)]
    whole, started = days_of([*beginning(), *told[:500], fill(MIDNIGHT + 2 * HOUR), *told[500:]])
    assert whole == PaperDay(day=date(2026, 9, 4), live_s=86_400.0, trades=1, counts=True, reason="")
    assert (started.day, started.live_s, started.reason) == (date(2026, 9, 5), 3590.0, "FEED_NOT_LIVE")


@pytest.mark.parametrize(("away", "counts"), [(2 * HOUR, True), (3 * HOUR, False)])
@pytest.mark.parametrize("how", ["dead", "DOWN", "stand-in"])
def test_a_tenth_of_a_day_may_be_lost(away: int, counts: bool, how: str) -> None:
    """A feed that is dead, says that it is down, or reads a venue that orders do not go to, is not live."""
    gone, back = MIDNIGHT + 5 * HOUR, MIDNIGHT + 5 * HOUR + away
    hole = (
        []
        if how == "dead"
        else [status(gone, "DOWN" if how == "DOWN" else "LIVE", "binance" if how == "DOWN" else "kraken")]
    )
    hole += [] if how == "dead" else [*feeding(gone, back)]
    again = [began("feed", FEED, back), status(back)]
    (day,) = days_of([*beginning(), *feeding(MIDNIGHT, gone), *hole, *again, *feeding(back, MIDNIGHT + DAY)])
    assert day.counts == counts
    assert day.live_s == pytest.approx(86_400 - away / SECOND, abs=20)


def test_a_moment_of_another_world_spoils_the_day() -> None:
    """A stack that was started on a simulated market at noon has no paper day, however long the rest of it was."""
    other = began("feed", FEED | {"market_url": "http://127.0.0.1:4202"}, MIDNIGHT + 12 * HOUR)
    back = began("feed", FEED, MIDNIGHT + 12 * HOUR + MINUTE)
    noon = MIDNIGHT + 12 * HOUR
    parts = [other, *feeding(noon, noon + MINUTE), back, *feeding(noon + MINUTE, MIDNIGHT + DAY)]
    (day,) = days_of([*beginning(), *feeding(MIDNIGHT, noon), *parts])
    assert (day.counts, day.reason) == (False, "SIMULATED_MARKET")


def test_what_is_no_event_of_ours_says_nothing() -> None:
    """A line that nobody understands neither adds a day nor ends the reading."""
    assert paper_days([LogEntry(1, "feed.marks", b"{}"), LogEntry(2, "risk.started", b"nonsense")]) == []
