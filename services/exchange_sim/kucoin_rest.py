"""KuCoin's public REST, /kucoin/api: every answer is `{"code":"200000","data":…}`; a refusal has another code and a `msg`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from libs.common.timeframe import DAY, MINUTE, SECOND
from services.exchange_sim.market import INTERVALS, Kline, Trade
from services.exchange_sim.other_venues import OtherVenue
from services.exchange_sim.replies import reply
from services.exchange_sim.wire import Json, millis

PING_INTERVAL_MS = 18_000
PING_TIMEOUT_MS = 10_000
TOKEN = "public-token-of-exchange-sim"  # noqa: S105 - anybody gets it; it only has to come back
BARS = 100
BARS_MAX = 1500
TRADES_MAX = 100
INTERVAL_OF_TYPE = {
    "1min": "1m",
    "3min": "3m",
    "5min": "5m",
    "15min": "15m",
    "30min": "30m",
    "1hour": "1h",
    "2hour": "2h",
    "4hour": "4h",
    "6hour": "6h",
    "8hour": "8h",
    "12hour": "12h",
    "1day": "1d",
}


class KucoinRefusal(Exception):
    """A code and what KuCoin says with it."""

    def __init__(self, code: str, message: str, status: int = 200):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class KucoinRest:
    """Answers of /kucoin/api; `status` says whether an instrument is traded there, `skew_ms` how far the clock is off."""

    def __init__(self, venue: OtherVenue, status: Callable[[str], str], skew_ms: Callable[[], int]):
        self._venue = venue
        self._market_status = status
        self._skew_ms = skew_ms

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.post("/kucoin/api/v1/bullet-public", _answering(self.bullet))
        answers = {
            "v1/timestamp": self.timestamp,
            "v1/status": self.status,
            "v2/symbols": self.symbols,
            "v3/currencies": self.currencies,
            "v1/market/allTickers": self.all_tickers,
            "v1/market/stats": self.stats,
            "v1/market/orderbook/level1": self.level1,
            "v1/market/histories": self.histories,
            "v1/market/candles": self.candles,
        }
        for path, answer in answers.items():
            yield web.get(f"/kucoin/api/{path}", _answering(answer))
        yield web.route("*", "/kucoin/{path:.*}", _answering(self.unknown))

    def unknown(self, request: web.Request) -> Any:
        """Whatever else is asked."""
        raise KucoinRefusal("404", "Not Found", 404)

    def bullet(self, request: web.Request) -> Json:
        """bullet-public: where the streams are, as seen by whoever asks."""
        server = {
            "endpoint": f"ws://{request.host}/kucoin/endpoint",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": PING_INTERVAL_MS,
            "pingTimeout": PING_TIMEOUT_MS,
        }
        return {"token": TOKEN, "instanceServers": [server]}

    def timestamp(self, request: web.Request) -> int:
        """Timestamp: venue time, milliseconds."""
        return millis(self._venue.now()) + self._skew_ms()

    def status(self, request: web.Request) -> Json:
        """Status."""
        return {"status": "open", "msg": ""}

    def symbols(self, request: web.Request) -> list[Json]:
        """Symbols: the rules."""
        return [self._symbol(name) for name in self._venue.listings]

    def currencies(self, request: web.Request) -> list[Json]:
        """Currencies."""
        specs = [listing.spec for listing in self._venue.listings.values()]
        names = sorted({asset for spec in specs for asset in (spec.base, spec.quote)})
        plain = {"precision": 8, "confirms": None, "contractAddress": None}
        flags = {"isMarginEnabled": False, "isDebitEnabled": False, "chains": []}
        return [{"currency": name, "name": name, "fullName": name, **plain, **flags} for name in names]

    def all_tickers(self, request: web.Request) -> Json:
        """AllTickers: best bid and offer, and the day, of every instrument."""
        now = self._venue.now()
        return {"time": millis(now), "ticker": [self._ticker(name, now) for name in self._venue.listings]}

    def stats(self, request: web.Request) -> Json:
        """Stats: the same of one instrument."""
        name, now = self._instrument(request), self._venue.now()
        return {"time": millis(now), **self._ticker(name, now)}

    def level1(self, request: web.Request) -> Json:
        """Level1: best bid and offer, and the last trade, of one instrument."""
        name, now = self._instrument(request), self._venue.now()
        quote, last = self._venue.quote(name), self._venue.last_trade(name)
        if quote is None or last is None:
            raise KucoinRefusal("400100", "This pair is not provided at present")
        px = self._venue.listings[name].px_text
        return {
            "time": millis(now),
            "sequence": str(quote.update_id),
            "price": px(last.px),
            "size": f"{last.qty:.8f}",
            "bestBid": px(quote.bid_px),
            "bestBidSize": f"{quote.bid_qty:.8f}",
            "bestAsk": px(quote.ask_px),
            "bestAskSize": f"{quote.ask_qty:.8f}",
        }

    def histories(self, request: web.Request) -> list[Json]:
        """Histories: the last 100 trades, oldest first; there are no older ones to be had."""
        name, now = self._instrument(request), self._venue.now()
        return [self._trade(trade) for trade in self._venue.recent_trades(name, TRADES_MAX, now)]

    def candles(self, request: web.Request) -> list[list[str]]:
        """Candles: bars that open in [startAt, endAt), newest first; minutes without a trade are left out."""
        name, now = self._instrument(request), self._venue.now()
        interval = INTERVAL_OF_TYPE.get(request.query.get("type", ""))
        if interval is None:
            raise KucoinRefusal("400100", "Incorrect candlestick type")
        start, end = _instant(request, "startAt"), _instant(request, "endAt")
        upto = now if not end else min(now, end - 1)
        limit = min(BARS_MAX, (upto - start) // INTERVALS[interval] + 1) if start else BARS_MAX if end else BARS
        bars = self._venue.bars(name, interval, upto, limit, now) if limit > 0 else []
        return [self._candle(name, opens, bar) for opens, bar in reversed(bars) if opens >= start and bar.trade_count]

    def _instrument(self, request: web.Request) -> str:
        symbol = request.query.get("symbol", "")
        if symbol not in self._venue.listings:
            raise KucoinRefusal("400100", "This pair is not provided at present")
        return symbol

    def _symbol(self, name: str) -> Json:
        spec = self._venue.listings[name].spec
        return {
            "symbol": name,
            "name": name,
            "baseCurrency": spec.base,
            "quoteCurrency": spec.quote,
            "feeCurrency": spec.quote,
            "market": "USDS",
            "baseMinSize": str(spec.qty_min),
            "quoteMinSize": str(spec.notional_min),
            "baseMaxSize": "10000000000",
            "quoteMaxSize": "99999999",
            "baseIncrement": f"{spec.qty_step:f}",
            "quoteIncrement": "0.000001",
            "priceIncrement": f"{spec.px_tick:f}",
            "priceLimitRate": "0.1",
            "minFunds": str(spec.notional_min),
            "isMarginEnabled": False,
            "enableTrading": self._market_status(name) == "TRADING",
            "st": False,
        }

    def _ticker(self, name: str, now: int) -> Json:
        listing = self._venue.listings[name]
        quote, last, px = self._venue.quote(name), self._venue.last_trade(name), listing.px_text
        day = self._venue.bar_since(name, (now - DAY) // MINUTE * MINUTE, now)
        told: Json = {"symbol": name, "symbolName": name}
        if quote is not None:
            told |= {"buy": px(quote.bid_px), "bestBidSize": f"{quote.bid_qty:.8f}"}
            told |= {"sell": px(quote.ask_px), "bestAskSize": f"{quote.ask_qty:.8f}"}
        if day is not None:
            told |= {
                "changeRate": f"{day.close / day.open - 1.0:.4f}",
                "changePrice": px(day.close - day.open),
                "high": px(day.high),
                "low": px(day.low),
                "vol": f"{listing.volume(day):.8f}",
                "volValue": f"{listing.turnover(day):.8f}",
                "averagePrice": px(listing.vwap(day)),
            }
        fee = str(listing.spec.taker_fee)
        fees = {"takerFeeRate": fee, "makerFeeRate": fee, "takerCoefficient": "1", "makerCoefficient": "1"}
        return {**told, "last": px(last.px) if last else None, **fees}

    def _trade(self, trade: Trade) -> Json:
        return {
            "sequence": str(trade.trade_id),
            "price": self._venue.listings[trade.instrument].px_text(trade.px),
            "size": f"{trade.qty:.8f}",
            "side": "sell" if trade.is_sell else "buy",
            "time": trade.ts_trade,
        }

    def _candle(self, name: str, opens: int, bar: Kline) -> list[str]:
        """Time, open, close, high, low, volume, turnover: in this order."""
        listing = self._venue.listings[name]
        prices = [listing.px_text(px) for px in (bar.open, bar.close, bar.high, bar.low)]
        return [str(opens // SECOND), *prices, f"{listing.volume(bar):.8f}", f"{listing.turnover(bar):.8f}"]


def _instant(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isdecimal():
        raise KucoinRefusal("400100", f"{name} is invalid")
    return int(text) * SECOND


def _answering(answer: Callable[[web.Request], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        try:
            return reply({"code": "200000", "data": answer(request)})
        except KucoinRefusal as refusal:
            return reply({"code": refusal.code, "msg": refusal.message}, refusal.status)

    return respond
