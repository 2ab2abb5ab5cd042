"""The public half of /api/v3: rules, time, and what is known of the market."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from libs.common.instruments import symbol_of
from libs.common.timeframe import MILLISECOND
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.frames import DaySummary, agg_trade_row, book_ticker_frame, kline_row, trade_row
from services.exchange_sim.hub import Hub
from services.exchange_sim.market import INTERVALS, Trade, klines
from services.exchange_sim.orders import OrderDesk, Params, number
from services.exchange_sim.replies import reply
from services.exchange_sim.signing import ApiError, Gate, missing
from services.exchange_sim.wire import Json, amount, exchange_info, millis

LIMIT = 500
LIMIT_MAX = 1000
DEPTH_LIMIT = 100
DEPTH_LIMIT_MAX = 5000


class MarketRest:
    """Handlers of everything that needs no signature."""

    def __init__(self, exchange: Exchange, hub: Hub, desk: OrderDesk, gate: Gate, weight_limit: int):
        self._exchange = exchange
        self._hub = hub
        self._desk = desk
        self._gate = gate
        self._weight_limit = weight_limit

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.get("/api/v3/ping", self.ping)
        yield web.get("/api/v3/time", self.time)
        yield web.get("/api/v3/exchangeInfo", self.exchange_info)
        yield web.get("/api/v3/ticker/24hr", self.ticker_day)
        yield web.get("/api/v3/ticker/bookTicker", self.book_ticker)
        yield web.get("/api/v3/ticker/price", self.ticker_price)
        yield web.get("/api/v3/trades", self.trades)
        yield web.get("/api/v3/historicalTrades", self.historical_trades)
        yield web.get("/api/v3/aggTrades", self.agg_trades)
        yield web.get("/api/v3/klines", self.klines)
        yield web.get("/api/v3/depth", self.depth)

    async def ping(self, request: web.Request) -> web.Response:
        """GET ping."""
        return reply({})

    async def time(self, request: web.Request) -> web.Response:
        """GET time: venue time."""
        return reply({"serverTime": millis(self._exchange.catch_up())})

    async def exchange_info(self, request: web.Request) -> web.Response:
        """GET exchangeInfo."""
        exchange = self._exchange
        listings = [history.listing for history in exchange.market.histories.values()]
        statuses = {each.spec.instrument: exchange.venue.market_status(each.spec.instrument) for each in listings}
        return reply(exchange_info(listings, exchange.catch_up(), self._weight_limit, statuses))

    async def ticker_day(self, request: web.Request) -> web.Response:
        """GET ticker/24hr."""
        now = self._exchange.catch_up()

        def row(instrument: str) -> Json:
            summary = DaySummary(instrument, self._exchange.market.histories[instrument], now)
            return summary.row(self._exchange.quotes.get(instrument), self._exchange.last_trades.get(instrument))

        return reply(self._of_asked(request, row))

    async def book_ticker(self, request: web.Request) -> web.Response:
        """GET ticker/bookTicker."""
        self._exchange.catch_up()

        def row(instrument: str) -> Json:
            quote = self._exchange.quotes.get(instrument)
            frame = book_ticker_frame(quote) if quote else {}
            names = {"bidPrice": "b", "bidQty": "B", "askPrice": "a", "askQty": "A"}
            shown = {name: frame.get(short, amount(None)) for name, short in names.items()}
            return {"symbol": symbol_of(instrument), **shown}

        return reply(self._of_asked(request, row))

    async def ticker_price(self, request: web.Request) -> web.Response:
        """GET ticker/price."""
        self._exchange.catch_up()

        def row(instrument: str) -> Json:
            last = self._exchange.last_trades.get(instrument)
            return {"symbol": symbol_of(instrument), "price": amount(last.px if last else None)}

        return reply(self._of_asked(request, row))

    async def trades(self, request: web.Request) -> web.Response:
        """GET trades: the last ones."""
        params, now = dict(request.query), self._exchange.catch_up()
        history = self._exchange.market.histories[self._desk.instrument(params)]
        return reply([trade_row(trade) for trade in history.recent_trades(_limit(params), now)])

    async def historical_trades(self, request: web.Request) -> web.Response:
        """GET historicalTrades: from an id on; the key is asked for, no signature."""
        self._gate.check_key(request.headers.get("X-MBX-APIKEY"))
        return reply([trade_row(trade) for trade in self._trades_asked(dict(request.query))])

    async def agg_trades(self, request: web.Request) -> web.Response:
        """GET aggTrades: from an id on, or of a time span, or the last ones."""
        return reply([agg_trade_row(trade) for trade in self._trades_asked(dict(request.query))])

    async def klines(self, request: web.Request) -> web.Response:
        """GET klines."""
        params, now = dict(request.query), self._exchange.catch_up()
        history = self._exchange.market.histories[self._desk.instrument(params)]
        interval = params.get("interval", "")
        if not interval:
            raise missing("interval")
        if interval not in INTERVALS:
            raise ApiError(400, -1120, "Invalid interval.")
        start, end = _instant(params, "startTime"), _instant(params, "endTime")
        bars = klines(history, interval, start, end, _limit(params), now)
        return reply([kline_row(interval, opens, bar, history.listing) for opens, bar in bars])

    async def depth(self, request: web.Request) -> web.Response:
        """GET depth: the book the depth stream continues."""
        params = dict(request.query)
        instrument = self._desk.instrument(params)
        self._exchange.catch_up()
        limit = min(DEPTH_LIMIT_MAX, number(params, "limit", DEPTH_LIMIT))
        return reply(self._hub.current_book(instrument).shown(limit))

    def _of_asked(self, request: web.Request, row: Any) -> Any:
        """One row for `symbol`, or a list for `symbols` or for all."""
        if "symbol" in request.query:
            return row(self._desk.instrument(dict(request.query)))
        if "symbols" in request.query:
            names = request.query["symbols"].strip("[]").replace('"', "").split(",")
            return [row(self._desk.instrument({"symbol": name})) for name in names]
        status = self._exchange.venue.market_status
        return [row(each) for each in self._exchange.market.histories if status(each) != "DELISTED"]

    def _trades_asked(self, params: Params) -> list[Trade]:
        now = self._exchange.catch_up()
        history = self._exchange.market.histories[self._desk.instrument(params)]
        limit, start, end = _limit(params), _instant(params, "startTime"), _instant(params, "endTime")
        until = now if end is None else min(now, end)
        if "fromId" in params:
            return history.trades_from(number(params, "fromId", 0), limit, until)
        if start is None:
            return history.recent_trades(limit, until)
        found = history.recent_trades(1, start - 1)
        first_id = found[-1].trade_id + 1 if found else 0
        return history.trades_from(first_id, limit, until)


def _limit(params: Params) -> int:
    return max(1, min(LIMIT_MAX, number(params, "limit", LIMIT)))


def _instant(params: Params, name: str) -> int | None:
    return number(params, name, 0) * MILLISECOND if name in params else None
