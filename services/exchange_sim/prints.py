"""The trades and quotes of one generated minute: they make exactly its bar.

A minute has twelve trades, one at its very first instant at the last price (with the quote as it was), then one in every five
seconds; the last is the close, and the high and the low are each printed. It has twenty-four quotes: one just before every later
trade, at whose bid or offer it then prints, and one more between any two trades, in which only quantities change. So ids are a
function of time.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from libs.common.timeframe import MILLISECOND, MINUTE
from services.exchange_sim.bars import TRADES_A_MINUTE, normal, shared_out
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import Event, Quote, Trade

QUOTES_A_MINUTE = 2 * TRADES_A_MINUTE
SLOT = MINUTE // TRADES_A_MINUTE
SPREAD_SHARE = 0.00005


class TickBar(NamedTuple):
    """A minute's bar in whole ticks and lots."""

    open: int
    high: int
    low: int
    close: int
    lots: int


def trade_ticks(bar: TickBar, draw: Callable[[], float]) -> list[int]:
    """The twelve prices: from open to close by way of high and low, in an order that chance and direction decide."""
    last = TRADES_A_MINUTE - 1
    early = 1 + int(draw() * (last - 3))
    late = early + 1 + int(draw() * (last - 1 - early))
    low_first = (draw() < 0.75) == (bar.close >= bar.open)
    first_turn, second_turn = (bar.low, bar.high) if low_first else (bar.high, bar.low)
    turns = [(0, bar.open), (early, first_turn), (late, second_turn), (last, bar.close)]
    span = bar.high - bar.low
    ticks = [bar.open]
    for (begin, first), (end, target) in pairwise(turns):
        for place in range(begin + 1, end):
            px = first + (target - first) * (place - begin) / (end - begin) + 0.1 * span * normal(draw)
            ticks.append(max(bar.low, min(bar.high, round(px))))
        ticks.append(target)
    return ticks


def sold_after_first(ticks: list[int], draw: Callable[[], float]) -> list[bool]:
    """Whether the taker sold, from the second trade on: a fall is a sale, a rise a purchase, the same price a coin."""
    return [after < before or (after == before and draw() < 0.5) for before, after in pairwise(ticks)]


class MinutePrinter:
    """Prints minutes of one instrument; `rank_base` keeps its events apart from those of others at the same instant."""

    def __init__(self, instrument: str, listing: Listing, rank_base: int):
        self._instrument = instrument
        self._listing = listing
        self._rank_base = rank_base
        self._quote_lots = listing.minute_qty * listing.lots_per_unit / TRADES_A_MINUTE

    def closes_with_sale(self, bar: TickBar, draw: Callable[[], float]) -> bool:
        """Whether the last taker of a minute sold; the next minute opens on that side of the quote."""
        return sold_after_first(trade_ticks(bar, draw), draw)[-1]

    def events(
        self, minute: int, bar: TickBar, ids: tuple[int, int], draw: Callable[[], float], *, opens_with_sale: bool
    ) -> list[Event]:
        """All events of `minute` (from the epoch), in order; `ids` are its first trade and update id, `draw` its own."""
        ticks = trade_ticks(bar, draw)
        sold = [opens_with_sale, *sold_after_first(ticks, draw)]
        lots = shared_out(bar.lots, [0.1 + draw() for _ in ticks], 1)
        trade_id, update_id = ids
        made: list[Event] = []

        def quote(ts: int, place: int) -> None:
            made.append(self._quote(ts, len(made), update_id, ticks[place], sold[place], draw))

        for place in range(TRADES_A_MINUTE):
            slot = minute * MINUTE + place * SLOT
            ts = slot
            if place:
                ts += int(draw() * 1500) * MILLISECOND
                quote(ts, place)
            made.append(self._trade(ts, len(made), trade_id + place, ticks[place], lots[place], sold[place]))
            if not place:
                quote(slot + (1100 + int(draw() * 300)) * MILLISECOND, place)
            update_id += 1
            quote(slot + (2500 + int(draw() * 1400)) * MILLISECOND, place)
            update_id += 1
        return made

    def _trade(self, ts: int, rank: int, trade_id: int, ticks: int, lots: int, is_sell: bool) -> Trade:
        return Trade(
            ts=ts,
            rank=self._rank_base + rank,
            instrument=self._instrument,
            trade_id=trade_id,
            ts_trade=ts,
            px=ticks / self._listing.ticks_per_unit,
            qty=lots / self._listing.lots_per_unit,
            is_sell=is_sell,
        )

    def _quote(self, ts: int, rank: int, update_id: int, ticks: int, at_bid: bool, draw: Callable[[], float]) -> Quote:
        spread = max(1, round(ticks * SPREAD_SHARE))
        bid = ticks if at_bid else max(1, ticks - spread)
        return Quote(
            ts=ts,
            rank=self._rank_base + rank,
            instrument=self._instrument,
            update_id=update_id,
            bid_px=bid / self._listing.ticks_per_unit,
            bid_qty=self._quote_qty(draw),
            ask_px=(bid + spread) / self._listing.ticks_per_unit,
            ask_qty=self._quote_qty(draw),
        )

    def _quote_qty(self, draw: Callable[[], float]) -> float:
        return max(1, int(self._quote_lots * (0.3 + 1.7 * draw()))) / self._listing.lots_per_unit
