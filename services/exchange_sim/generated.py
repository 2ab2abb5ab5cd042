"""The generated market: a pure function of seed, instrument and time.

History and live events come from the same plan (`bars`, `prints`), so the bars of REST and the trades of the stream cannot
disagree. Only the quote volume of planned bars is an estimate (lots at the middle of the bar), as no plan of prices alone can know it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from libs.common.timeframe import MINUTE
from services.exchange_sim.bars import DEPTH, FIRST_TS, TRADES_A_MINUTE, BarTree, PlannedBar, chance, index_at
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import INTERVALS, Event, History, Key, Kline, Trade
from services.exchange_sim.prints import QUOTES_A_MINUTE, MinutePrinter, TickBar

FIRST_MINUTE = FIRST_TS // MINUTE
RANKS_A_MINUTE = 1000
_CACHED_MINUTES_MAX = 32


class Plan(Protocol):
    """Where planned bars come from."""

    def bar(self, depth: int, index: int) -> PlannedBar:
        """The bar number `index` at `depth` (0 is weeks counted from FIRST_TS, 5 is minutes counted from FIRST_TS)."""
        ...


class GeneratedHistory:
    """One instrument. `scale` multiplies all prices, the id offsets are added to all ids: so it can join a recording. `tree`: another plan than
    the seed's."""

    def __init__(
        self,
        seed: int,
        instrument: str,
        listing: Listing,
        *,
        place: int = 0,
        scale: float = 1.0,
        trade_id_offset: int = 0,
        update_id_offset: int = 0,
        tree: Plan | None = None,
    ):
        self.listing = listing
        self.first_ts = FIRST_TS
        self._seed = seed
        self._instrument = instrument
        self._tree = tree or BarTree(seed, instrument, listing)
        self._printer = MinutePrinter(instrument, listing, place * RANKS_A_MINUTE)
        self._ticks_per_raw = scale * listing.ticks_per_unit
        self._trade_id_offset = trade_id_offset
        self._update_id_offset = update_id_offset
        self._minutes: OrderedDict[int, list[Event]] = OrderedDict()

    def raw_px(self, interval: str, opens: int, *, at_close: bool) -> float:
        """Where the unscaled plan stands at the open or close of a bar."""
        depth = DEPTH[interval]
        bar = self._tree.bar(depth, index_at(opens, depth))
        return bar.close if at_close else bar.open

    def tick_bar(self, interval: str, opens: int) -> TickBar:
        """The planned bar of one of the `PIECES`, in ticks."""
        depth = DEPTH[interval]
        bar = self._tree.bar(depth, index_at(opens, depth))
        factor = self._ticks_per_raw
        return TickBar(*(max(1, round(px * factor)) for px in bar[:4]), bar.lots)

    def piece(self, interval: str, opens: int) -> Kline | None:
        """The planned bar; None before the beginning of time."""
        if opens < FIRST_TS:
            return None
        bar = self.tick_bar(interval, opens)
        count = INTERVALS[interval] // MINUTE * TRADES_A_MINUTE
        first_trade_id = self.trade_id_at(opens // MINUTE)
        per_unit = self.listing.ticks_per_unit
        return Kline(
            open=bar.open / per_unit,
            high=bar.high / per_unit,
            low=bar.low / per_unit,
            close=bar.close / per_unit,
            lots=bar.lots,
            quote_units=bar.lots * (bar.open + bar.high + bar.low + bar.close) // 4,
            taker_buy_lots=bar.lots // 2,
            trade_count=count,
            first_trade_id=first_trade_id,
            last_trade_id=first_trade_id + count - 1,
        )

    def trade_id_at(self, minute: int) -> int:
        """The id of the first trade of `minute` (from the epoch)."""
        return (minute - FIRST_MINUTE) * TRADES_A_MINUTE + 1 + self._trade_id_offset

    def update_id_at(self, minute: int) -> int:
        """The id of the first quote of `minute` (from the epoch)."""
        return (minute - FIRST_MINUTE) * QUOTES_A_MINUTE + 1 + self._update_id_offset

    def minute_events(self, minute: int) -> list[Event]:
        """Everything that happens in `minute` (from the epoch), in order."""
        found = self._minutes.get(minute)
        if found is None:
            found = self._minutes[minute] = self._printed(minute)
            if len(self._minutes) > _CACHED_MINUTES_MAX:
                self._minutes.popitem(last=False)
        return found

    def minute_trades(self, minute: int, now: int) -> list[Trade]:
        """The trades of `minute` up to and including `now`."""
        if minute < FIRST_MINUTE:
            return []
        return [event for event in self.minute_events(minute) if isinstance(event, Trade) and event.ts <= now]

    def recent_trades(self, count: int, now: int) -> list[Trade]:
        """The last `count` trades up to and including `now`, oldest first."""
        minute = now // MINUTE
        found = self.minute_trades(minute, now)
        while len(found) < count and minute > FIRST_MINUTE:
            minute -= 1
            found = self.minute_trades(minute, now) + found
        return found[-count:]

    def trades_from(self, trade_id: int, count: int, now: int) -> list[Trade]:
        """Up to `count` trades with this id or a later one, up to and including `now`, oldest first."""
        minute = max(FIRST_MINUTE, FIRST_MINUTE + (trade_id - self._trade_id_offset - 1) // TRADES_A_MINUTE)
        found: list[Trade] = []
        while len(found) < count and minute * MINUTE <= now:
            found += [trade for trade in self.minute_trades(minute, now) if trade.trade_id >= trade_id]
            minute += 1
        return found[:count]

    def _printed(self, minute: int) -> list[Event]:
        before = self.tick_bar("1m", max(FIRST_TS, (minute - 1) * MINUTE))
        return self._printer.events(
            minute,
            self.tick_bar("1m", minute * MINUTE),
            (self.trade_id_at(minute), self.update_id_at(minute)),
            self._draw(minute),
            opens_with_sale=self._printer.closes_with_sale(before, self._draw(minute - 1)),
        )

    def _draw(self, minute: int) -> Callable[[], float]:
        return chance(self._seed, self._instrument, "prints", minute).random


class GeneratedMarket:
    """All instruments of a generated market, beginning at `starts_at`."""

    def __init__(self, seed: int, listings: dict[str, Listing], starts_at: int):
        self.starts_at = starts_at
        self.identity = {"market": "generated", "seed": str(seed), "instruments": ",".join(listings)}
        self.generated = {
            instrument: GeneratedHistory(seed, instrument, listing, place=place)
            for place, (instrument, listing) in enumerate(listings.items())
        }
        self.histories: dict[str, History] = dict(self.generated)

    def events(self, after: Key) -> Iterator[Event]:
        """Every event behind `after`, in order, without end."""
        return generated_events(list(self.generated.values()), after)


def generated_events(histories: list[GeneratedHistory], after: Key) -> Iterator[Event]:
    """The events of several generated instruments as one sequence behind `after`."""
    minute = max(FIRST_MINUTE, after[0] // MINUTE)
    while True:
        batch = [event for history in histories for event in history.minute_events(minute)]
        batch.sort(key=lambda event: (event.ts, event.rank))
        for event in batch:
            if (event.ts, event.rank) > after:
                yield event
        minute += 1
