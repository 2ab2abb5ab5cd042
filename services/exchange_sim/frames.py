"""How Binance Spot writes the market: trades, quotes, bars and day summaries, for REST and for the streams."""

from __future__ import annotations

from typing import Any

from libs.common.instruments import symbol_of
from libs.common.timeframe import DAY, MINUTE
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import INTERVALS, History, Kline, Quote, Trade, bar_between
from services.exchange_sim.wire import Json, amount, millis


def trade_frame(trade: Trade) -> Json:
    """`@trade`."""
    return {
        "e": "trade",
        "E": millis(trade.ts),
        "s": symbol_of(trade.instrument),
        "t": trade.trade_id,
        "p": amount(trade.px),
        "q": amount(trade.qty),
        "T": millis(trade.ts_trade),
        "m": trade.is_sell,
        "M": True,
    }


def agg_trade_frame(trade: Trade) -> Json:
    """`@aggTrade`; every trade is its own aggregate."""
    return {
        "e": "aggTrade",
        "E": millis(trade.ts),
        "s": symbol_of(trade.instrument),
        "a": trade.trade_id,
        "p": amount(trade.px),
        "q": amount(trade.qty),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": millis(trade.ts_trade),
        "m": trade.is_sell,
        "M": True,
    }


def book_ticker_frame(quote: Quote) -> Json:
    """`@bookTicker`; it has no time of its own."""
    return {
        "u": quote.update_id,
        "s": symbol_of(quote.instrument),
        "b": amount(quote.bid_px),
        "B": amount(quote.bid_qty),
        "a": amount(quote.ask_px),
        "A": amount(quote.ask_qty),
    }


def kline_frame(
    instrument: str, interval: str, opens: int, bar: Kline, listing: Listing, now: int, *, closed: bool
) -> Json:
    """`@kline_<interval>`."""
    volumes = _volumes(bar, listing)
    symbol = symbol_of(instrument)
    return {
        "e": "kline",
        "E": millis(now),
        "s": symbol,
        "k": {
            "t": millis(opens),
            "T": millis(opens + INTERVALS[interval]) - 1,
            "s": symbol,
            "i": interval,
            "f": bar.first_trade_id,
            "L": bar.last_trade_id,
            "o": amount(bar.open),
            "c": amount(bar.close),
            "h": amount(bar.high),
            "l": amount(bar.low),
            "v": volumes[0],
            "n": bar.trade_count,
            "x": closed,
            "q": volumes[1],
            "V": volumes[2],
            "Q": volumes[3],
            "B": "0",
        },
    }


def kline_row(interval: str, opens: int, bar: Kline, listing: Listing) -> list[Any]:
    """One row of GET klines."""
    volume, quote_volume, taker_volume, taker_quote_volume = _volumes(bar, listing)
    return [
        millis(opens),
        amount(bar.open),
        amount(bar.high),
        amount(bar.low),
        amount(bar.close),
        volume,
        millis(opens + INTERVALS[interval]) - 1,
        quote_volume,
        bar.trade_count,
        taker_volume,
        taker_quote_volume,
        "0",
    ]


def _volumes(bar: Kline, listing: Listing) -> tuple[str, str, str, str]:
    per_lot = listing.lots_per_unit
    per_unit = per_lot * listing.ticks_per_unit
    taker_share = bar.taker_buy_lots / bar.lots if bar.lots else 0.0
    return (
        amount(bar.lots / per_lot),
        amount(bar.quote_units / per_unit),
        amount(bar.taker_buy_lots / per_lot),
        amount(bar.quote_units * taker_share / per_unit),
    )


def trade_row(trade: Trade) -> Json:
    """One row of GET trades and historicalTrades."""
    return {
        "id": trade.trade_id,
        "price": amount(trade.px),
        "qty": amount(trade.qty),
        "quoteQty": amount(trade.px * trade.qty),
        "time": millis(trade.ts_trade),
        "isBuyerMaker": trade.is_sell,
        "isBestMatch": True,
    }


def agg_trade_row(trade: Trade) -> Json:
    """One row of GET aggTrades."""
    frame = agg_trade_frame(trade)
    return {name: frame[name] for name in ("a", "p", "q", "f", "l", "T", "m", "M")}


class DaySummary:
    """The last 24 hours of one instrument, to the minute."""

    def __init__(self, instrument: str, history: History, now: int):
        self.instrument = instrument
        self.now = now
        self.opens = (now - DAY) // MINUTE * MINUTE
        self.listing = history.listing
        self.bar = bar_between(history, max(self.opens, history.first_ts), now // MINUTE * MINUTE + MINUTE, now)

    def row(self, quote: Quote | None, last: Trade | None) -> Json:
        """One row of GET ticker/24hr."""
        bar = self.bar
        if bar is None:
            return {"symbol": symbol_of(self.instrument), "lastPrice": amount(None), "count": 0}
        change = bar.close - bar.open
        volume, quote_volume, _, _ = _volumes(bar, self.listing)
        return {
            "symbol": symbol_of(self.instrument),
            "priceChange": amount(change),
            "priceChangePercent": f"{100 * change / bar.open:.3f}",
            "weightedAvgPrice": amount(float(quote_volume) / float(volume) if bar.lots else bar.close),
            "prevClosePrice": amount(bar.open),
            "lastPrice": amount(bar.close),
            "lastQty": amount(last.qty if last else None),
            "bidPrice": amount(quote.bid_px if quote else None),
            "bidQty": amount(quote.bid_qty if quote else None),
            "askPrice": amount(quote.ask_px if quote else None),
            "askQty": amount(quote.ask_qty if quote else None),
            "openPrice": amount(bar.open),
            "highPrice": amount(bar.high),
            "lowPrice": amount(bar.low),
            "volume": volume,
            "quoteVolume": quote_volume,
            "openTime": millis(self.opens),
            "closeTime": millis(self.now),
            "firstId": bar.first_trade_id,
            "lastId": bar.last_trade_id,
            "count": bar.trade_count,
        }

    def mini_frame(self) -> Json:
        """`@miniTicker`."""
        row = self.row(None, None)
        names = {
            "c": "lastPrice",
            "o": "openPrice",
            "h": "highPrice",
            "l": "lowPrice",
            "v": "volume",
            "q": "quoteVolume",
        }
        return {
            "e": "24hrMiniTicker",
            "E": millis(self.now),
            "s": row["symbol"],
            **{short: row[name] for short, name in names.items()},
        }

    def frame(self, quote: Quote | None, last: Trade | None) -> Json:
        """`@ticker`."""
        row = self.row(quote, last)
        names = {
            "p": "priceChange",
            "P": "priceChangePercent",
            "w": "weightedAvgPrice",
            "x": "prevClosePrice",
            "c": "lastPrice",
            "Q": "lastQty",
            "b": "bidPrice",
            "B": "bidQty",
            "a": "askPrice",
            "A": "askQty",
            "o": "openPrice",
            "h": "highPrice",
            "l": "lowPrice",
            "v": "volume",
            "q": "quoteVolume",
            "O": "openTime",
            "C": "closeTime",
            "F": "firstId",
            "L": "lastId",
            "n": "count",
        }
        return {
            "e": "24hrTicker",
            "E": millis(self.now),
            "s": row["symbol"],
            **{short: row[name] for short, name in names.items()},
        }
