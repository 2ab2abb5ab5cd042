"""How each venue is asked by REST for bars and best quotes, and how it answers: raw calls, because ccxt's unified ones hide nonsense.

`fetch_ohlcv` makes an empty list of an HTML page, and no bars is an answer to us: nobody traded. Every function here returns plain
numbers, or raises whatever Python raises on nonsense; rest.py makes one exception of that. Rows are `[ms, open, high, low, close,
volume]`, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from libs.common.messages import Timeframe
from libs.common.timeframe import MILLISECOND, SECOND, STEP
from libs.trading.binance_ccxt import ccxt_config
from libs.trading.public_ccxt import kraken_config, kucoin_config

Row = list[Any]
Tickers = dict[str, dict[str, Any]]


class NotInForm(ValueError):
    """The answer is not what this venue answers."""


class Dialect(Protocol):
    """One venue's REST. `counts_trades`: its trade ids are consecutive. `page`: the most bars of one answer. Instants are ns."""

    venue: str
    counts_trades: bool
    page: int
    has_weeks: bool
    cost_quotes: int
    cost_bars: int

    def config(self, base_url: str) -> dict[str, Any]:
        """The constructor argument of ccxt's class for the venue at `base_url`."""
        ...

    async def bars(
        self, exchange: Any, symbol: str, timeframe: Timeframe, since: int | None, until: int, limit: int
    ) -> list[Row]:
        """Bars from `since` on (None: the newest), up to `until` (0: open end), at most `limit`."""
        ...

    async def quotes(self, exchange: Any, symbols: list[str]) -> Tickers:
        """The best bid and offer of each symbol, as ccxt names the fields, and the price of the last trade where it is told."""
        ...


class Binance:
    """Bars of every timeframe (weeks begin on Monday), consecutive trade ids."""

    venue = "binance"
    counts_trades = True
    page = 1000
    has_weeks = True
    cost_quotes = 4
    cost_bars = 2

    def config(self, base_url: str) -> dict[str, Any]:
        """See `binance_ccxt`."""
        return ccxt_config(base_url)

    async def bars(
        self, exchange: Any, symbol: str, timeframe: Timeframe, since: int | None, until: int, limit: int
    ) -> list[Row]:
        """GET klines."""
        params = {"symbol": exchange.market_id(symbol), "interval": timeframe, "limit": min(limit, self.page)}
        if since is not None:
            params["startTime"] = since // MILLISECOND
        if until:
            params["endTime"] = until // MILLISECOND - 1
        rows = _a_list(await exchange.public_get_klines(params))
        return [[int(row[0]), *map(float, row[1:6])] for row in rows]

    async def quotes(self, exchange: Any, symbols: list[str]) -> Tickers:
        """GET ticker/bookTicker."""
        return dict(await exchange.fetch_bids_asks(symbols))


class Kraken:
    """The newest 720 bars whatever is asked for, no weeks that begin on Monday, consecutive trade ids."""

    venue = "kraken"
    counts_trades = True
    page = 720
    has_weeks = False
    cost_quotes = 1
    cost_bars = 1

    def config(self, base_url: str) -> dict[str, Any]:
        """See `public_ccxt`."""
        return kraken_config(base_url)

    async def bars(
        self, exchange: Any, symbol: str, timeframe: Timeframe, since: int | None, until: int, limit: int
    ) -> list[Row]:
        """GET OHLC; its `since` is exclusive and counts in seconds."""
        pair = exchange.market_id(symbol)
        params = {"pair": pair, "interval": STEP[timeframe] // (60 * SECOND)}
        if since is not None:
            params["since"] = since // SECOND - 1
        answer = (await exchange.public_get_ohlc(params))["result"]
        rows = _a_list(next((rows for name, rows in answer.items() if name != "last"), None))
        found = [[int(row[0]) * 1000, *map(float, row[1:5]), float(row[6])] for row in rows]
        return _within(found, since, until)[-limit if since is None else 0 :][:limit]

    async def quotes(self, exchange: Any, symbols: list[str]) -> Tickers:
        """GET Ticker; it answers by its own names of the pairs."""
        ids = {exchange.market_id(symbol): symbol for symbol in symbols}
        answer = (await exchange.public_get_ticker({"pair": ",".join(ids)}))["result"]
        return {
            ids[name]: {
                "symbol": ids[name],
                "bid": float(row["b"][0]),
                "bidVolume": float(row["b"][2]),
                "ask": float(row["a"][0]),
                "askVolume": float(row["a"][2]),
                "last": float(row["c"][0]),
            }
            for name, row in answer.items()
            if name in ids
        }


class KuCoin:
    """Rows newest first, minutes without trades left out, trade ids with holes: no minute can be proven by them."""

    venue = "kucoin"
    counts_trades = False
    page = 1500
    has_weeks = False
    cost_quotes = 15
    cost_bars = 3
    _NAMES: dict[str, str] = {"1m": "1min", "15m": "15min", "1h": "1hour", "4h": "4hour", "1d": "1day"}  # noqa: RUF012

    def config(self, base_url: str) -> dict[str, Any]:
        """See `public_ccxt`."""
        return kucoin_config(base_url)

    async def bars(
        self, exchange: Any, symbol: str, timeframe: Timeframe, since: int | None, until: int, limit: int
    ) -> list[Row]:
        """GET market/candles; the close stands before the high. It gives the newest of a span, so the span is kept to a page."""
        params = {"symbol": exchange.market_id(symbol), "type": self._NAMES[timeframe]}
        if since is not None:
            ends = since + min(limit, self.page) * STEP[timeframe]
            params |= {"startAt": since // SECOND, "endAt": (min(ends, until) if until else ends) // SECOND}
        rows = _a_list((await exchange.public_get_market_candles(params))["data"])
        found = [
            [int(row[0]) * 1000, float(row[1]), float(row[3]), float(row[4]), float(row[2]), float(row[5])]
            for row in reversed(rows)
        ]
        return _within(found, since, until)[-limit if since is None else 0 :][:limit]

    async def quotes(self, exchange: Any, symbols: list[str]) -> Tickers:
        """GET market/allTickers; one side of an empty book is null there."""
        ids = {exchange.market_id(symbol): symbol for symbol in symbols}
        rows = _a_list((await exchange.public_get_market_alltickers())["data"]["ticker"])
        return {
            ids[row["symbol"]]: {
                "symbol": ids[row["symbol"]],
                "bid": _number(row["buy"]),
                "bidVolume": _number(row.get("bestBidSize")),
                "ask": _number(row["sell"]),
                "askVolume": _number(row.get("bestAskSize")),
                "last": _number(row.get("last")),
            }
            for row in rows
            if row["symbol"] in ids
        }


DIALECTS: dict[str, Callable[[], Dialect]] = {"binance": Binance, "kraken": Kraken, "kucoin": KuCoin}


def _within(rows: list[Row], since: int | None, until: int) -> list[Row]:
    begin, end = (since or 0) // MILLISECOND, until // MILLISECOND
    return [row for row in rows if row[0] >= begin and (not until or row[0] < end)]


def _a_list(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise NotInForm(f"wanted a list, got {type(answer).__name__}")
    return answer


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
