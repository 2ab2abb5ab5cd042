"""The market of a lock-step run again, as a backtest: one process, no bus, no venue process, the same machines and settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from libs.common.codec import encode
from libs.common.messages import ExecutionReport, Message
from libs.common.subjects import subject_of
from libs.research.log_market import Recorded, play_again
from libs.runtime.adapter import LogEntry
from libs.trading.venue import SpotVenue, VenueUpdate
from services.exchange_sim.generated import GeneratedMarket
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import Quote, Trade
from tests.chaos.books import Outcome, differences, messages, outcome_of

MINUTE = 60_000_000_000


class GeneratedTape:
    """The trades and quotes of the venue's generated market, played to a venue of ours."""

    def __init__(self, seed: int, instruments: Iterable[str], begin: int):
        market = GeneratedMarket(seed, {each: listing_of(each) for each in instruments}, begin)
        self._events = market.events((begin - MINUTE, 0))
        self._next = next(self._events)

    def __call__(self, venue: SpotVenue, until: int) -> list[VenueUpdate]:
        """Play what happens up to `until` (ns)."""
        updates = list(venue.advance(until))
        while self._next.ts <= until:
            event, self._next = self._next, next(self._events)
            if isinstance(event, Quote):
                updates += venue.on_quote(
                    event.instrument, event.bid_px, event.bid_qty, event.ask_px, event.ask_qty, event.ts
                )
            elif isinstance(event, Trade):
                updates += venue.on_trade(event.instrument, event.px, event.qty, event.ts)
        return updates


def backtested(entries: Iterable[LogEntry], seed: int, instruments: Iterable[str], begin: int) -> list[LogEntry]:
    """The log that a backtest over the feed's words in `entries` writes, on the generated market of `seed`."""
    log: list[LogEntry] = []

    def watch(seq: int, message: Message) -> None:
        log.append(LogEntry(seq, subject_of(message), encode(message)))

    play_again(Recorded(entries), watch, tape=GeneratedTape(seed, instruments, begin))
    return log


def differences_to_backtest(entries: list[LogEntry], seed: int, instruments: Iterable[str], begin: int) -> list[str]:
    """In what a backtest of the same market comes to something else than the live run did: nothing, or a line for each kind."""
    again = backtested(entries, seed, instruments, begin)
    found = differences(_outcome(entries), _outcome(again))
    lived, imagined = _fills(entries), _fills(again)
    return found if lived == imagined else [*found, f"fills: {len(lived)} live, {len(imagined)} in the backtest"]


def _outcome(entries: Iterable[LogEntry]) -> Outcome:
    return outcome_of(entries, {"fills": [], "orders": []})


def _fills(entries: Iterable[LogEntry]) -> list[tuple[Any, ...]]:
    return sorted(
        (each.instrument, each.ts_event, each.side, each.last_qty, each.last_px, each.commission, each.liquidity_side)
        for each in messages(entries)
        if isinstance(each, ExecutionReport) and each.exec_type == "TRADE"
    )
