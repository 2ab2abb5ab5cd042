"""Other venues on the same market: each prints the trades and quotes of the Binance side at its own price, with its own ids and rules.

    price there = whole ticks of that venue in (price here x (1 + basis))

Trades are rounded to the nearest tick, bids down and offers up, so a quote never crosses and every trade lies within it. Rounding is
monotone: the open, high, low and close of a bar are those of the trades in it, wherever they are rounded. So bars need no rule of
their own. Quantities, times and the number of trades are the same everywhere; ids are a strictly increasing function of ours.
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil, floor

import msgspec

from libs.common.messages import InstrumentSpec
from libs.common.timeframe import DAY, MINUTE
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import Kline, Quote, Trade, bar_between, klines


class VenueRules(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a venue another one. `steps` are price tick, quantity step and least quantity; others come from our listing."""

    venue: str
    basis: float
    fee: Decimal
    notional_min: Decimal
    steps: dict[str, tuple[str, str, str]]
    trade_id_base: int
    trade_id_stride: int


KRAKEN = VenueRules(
    venue="kraken",
    basis=0.0004,
    fee=Decimal("0.0026"),
    notional_min=Decimal("0.5"),
    steps={
        "BTC-USDT": ("0.1", "0.00000001", "0.00005"),
        "ETH-USDT": ("0.01", "0.00000001", "0.001"),
        "SOL-USDT": ("0.01", "0.00000001", "0.02"),
        "XRP-USDT": ("0.00001", "0.00000001", "2"),
    },
    trade_id_base=50_000_000,
    trade_id_stride=1,
)
KUCOIN = VenueRules(
    venue="kucoin",
    basis=-0.0002,
    fee=Decimal("0.001"),
    notional_min=Decimal("0.1"),
    steps={
        "BTC-USDT": ("0.1", "0.00000001", "0.00001"),
        "ETH-USDT": ("0.01", "0.0000001", "0.0001"),
        "SOL-USDT": ("0.001", "0.0001", "0.01"),
        "XRP-USDT": ("0.00001", "0.0001", "0.1"),
    },
    trade_id_base=11_067_996_000_000_000,
    trade_id_stride=7,
)


class OtherListing:
    """One instrument as another venue lists and prices it."""

    def __init__(self, rules: VenueRules, home: Listing):
        plain = (str(home.spec.px_tick), str(home.spec.qty_step), str(home.spec.qty_min))
        px_tick, qty_step, qty_min = (Decimal(step) for step in rules.steps.get(home.spec.instrument, plain))
        self.spec: InstrumentSpec = msgspec.structs.replace(
            home.spec,
            px_tick=px_tick,
            qty_step=qty_step,
            qty_min=qty_min,
            notional_min=rules.notional_min,
            taker_fee=rules.fee,
            maker_fee=rules.fee,
        )
        self.px_decimals = decimals(px_tick)
        self._per_unit = int(1 / px_tick)
        self._factor = (1.0 + rules.basis) * self._per_unit
        self._trade_id_base, self._stride = rules.trade_id_base, rules.trade_id_stride
        self._lots_per_unit, self._home_units = home.lots_per_unit, home.lots_per_unit * home.ticks_per_unit
        self._basis = rules.basis

    def px(self, px: float) -> float:
        """Where that venue trades when we trade at `px`."""
        return max(1, round(px * self._factor)) / self._per_unit

    def px_text(self, px: float) -> str:
        """A price of that venue with all its decimals."""
        return f"{px:.{self.px_decimals}f}"

    def trade_id(self, trade_id: int) -> int:
        """Consecutive with a stride of 1, else with gaps of uneven size."""
        return self._trade_id_base + self._stride * trade_id + trade_id % ((self._stride + 1) // 2)

    def trade(self, trade: Trade) -> Trade:
        """The trade as printed there."""
        return msgspec.structs.replace(trade, trade_id=self.trade_id(trade.trade_id), px=self.px(trade.px), raw="")

    def quote(self, quote: Quote) -> Quote:
        """The best bid and offer there."""
        bid = max(1, floor(quote.bid_px * self._factor))
        ask = max(bid + 1, ceil(quote.ask_px * self._factor))
        return msgspec.structs.replace(quote, bid_px=bid / self._per_unit, ask_px=ask / self._per_unit, raw="")

    def bar(self, bar: Kline) -> Kline:
        """The bar there."""
        return msgspec.structs.replace(
            bar, open=self.px(bar.open), high=self.px(bar.high), low=self.px(bar.low), close=self.px(bar.close)
        )

    def volume(self, bar: Kline) -> float:
        """How much of the base was traded in `bar`."""
        return bar.lots / self._lots_per_unit

    def turnover(self, bar: Kline) -> float:
        """How much of the quote was traded in `bar` (an estimate, as here)."""
        return bar.quote_units / self._home_units * (1.0 + self._basis)

    def vwap(self, bar: Kline) -> float:
        """The average price of `bar`, weighted by volume; zero when nothing was traded."""
        return min(bar.high, max(bar.low, self.turnover(bar) / self.volume(bar))) if bar.lots else 0.0


class OtherVenue:
    """All that another venue can tell of the market, in its own prices and ids."""

    def __init__(self, rules: VenueRules, exchange: Exchange):
        self.rules = rules
        self._exchange = exchange
        self.listings = {
            name: OtherListing(rules, history.listing) for name, history in exchange.market.histories.items()
        }
        self._days: dict[str, tuple[int, Kline | None]] = {}

    def now(self) -> int:
        """Venue time, with everything played that is due."""
        return self._exchange.catch_up()

    def is_priced(self, instrument: str) -> bool:
        """Whether there is a quote and a trade; a recording has neither at its very beginning."""
        return instrument in self._exchange.quotes and instrument in self._exchange.last_trades

    def quote(self, instrument: str) -> Quote | None:
        """The best bid and offer as of the last event."""
        quote = self._exchange.quotes.get(instrument)
        return None if quote is None else self.listings[instrument].quote(quote)

    def last_trade(self, instrument: str) -> Trade | None:
        """The last trade as of the last event."""
        trade = self._exchange.last_trades.get(instrument)
        return None if trade is None else self.listings[instrument].trade(trade)

    def recent_trades(self, instrument: str, count: int, now: int) -> list[Trade]:
        """The last `count` trades, oldest first."""
        history = self._exchange.market.histories[instrument]
        return [self.listings[instrument].trade(trade) for trade in history.recent_trades(count, now)]

    def trades_after(self, instrument: str, since: int, count: int, now: int) -> list[Trade]:
        """The first `count` trades later than the instant `since`, oldest first."""
        history, listing = self._exchange.market.histories[instrument], self.listings[instrument]
        before = history.recent_trades(1, min(since, now))
        found = history.trades_from(before[-1].trade_id + 1 if before else 0, count, now)
        return [listing.trade(trade) for trade in found if trade.ts_trade > since]

    def bars(self, instrument: str, interval: str, end: int | None, limit: int, now: int) -> list[tuple[int, Kline]]:
        """The last `limit` bars that open at or before `end` (or now), oldest first; the one in progress is among them."""
        history, listing = self._exchange.market.histories[instrument], self.listings[instrument]
        return [(opens, listing.bar(bar)) for opens, bar in klines(history, interval, None, end, limit, now)]

    def bar_since(self, instrument: str, opens: int, now: int) -> Kline | None:
        """One bar from `opens` (or the beginning) to `now`."""
        history = self._exchange.market.histories[instrument]
        bar = bar_between(history, max(opens, history.first_ts), now // MINUTE * MINUTE + MINUTE, now)
        return None if bar is None else self.listings[instrument].bar(bar)

    def day(self, instrument: str, now: int) -> Kline | None:
        """The 24 hours before the minute of `now`, worked out once a minute: streams need it with every frame."""
        minute = now // MINUTE * MINUTE
        known = self._days.get(instrument)
        if known is None or known[0] != minute:
            known = self._days[instrument] = (minute, self.bar_since(instrument, minute - DAY, minute - 1))
        return known[1]


def decimals(step: Decimal) -> int:
    """How many decimals a price or quantity in steps of `step` has."""
    return max(0, -int(step.as_tuple().exponent))
