"""Kraken's public REST, /kraken/0/public (what is private is in `kraken_account`): every answer is `{"error":[…],"result":…}` with status 200, refusals too.

Weekly bars of Kraken begin on Thursdays; they are not offered here. OHLC knows the last 720 bars and always ends with the one in progress.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from aiohttp import web

from libs.common.timeframe import DAY, MINUTE, SECOND
from services.exchange_sim.market import INTERVALS, Kline, Trade, bar_start
from services.exchange_sim.other_venues import OtherVenue, decimals
from services.exchange_sim.replies import reply
from services.exchange_sim.wire import Json

BARS_MAX = 720
TRADES_MAX = 1000
SINCE_IN_SECONDS_MAX = 10**12
INTERVAL_OF_MINUTES = {"1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "240": "4h", "1440": "1d"}
_ASSETS = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "EUR": "ZEUR"}  # Kraken's oldest assets have a prefix

Query = Mapping[str, str]


class KrakenRefusal(Exception):
    """What Kraken puts into `error`."""


class KrakenRest:
    """Answers of /kraken."""

    def __init__(self, venue: OtherVenue):
        self._venue = venue
        self._pairs = {pair_of(name): name for name in venue.listings}

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        answers = {
            "Time": self.time,
            "SystemStatus": self.system_status,
            "Assets": self.assets,
            "AssetPairs": self.asset_pairs,
            "Ticker": self.ticker,
            "OHLC": self.ohlc,
            "Trades": self.trades,
        }
        for name, answer in answers.items():
            yield web.get(f"/kraken/0/public/{name}", _answering(answer))
        yield web.route("*", "/kraken/{path:.*}", _answering(self.unknown))

    def unknown(self, query: Query) -> Json:
        """Whatever else is asked."""
        raise KrakenRefusal("EGeneral:Unknown method")

    def time(self, query: Query) -> Json:
        """Time: whole seconds."""
        seconds = self._venue.now() // SECOND
        return {"unixtime": seconds, "rfc1123": formatdate(seconds, usegmt=True)}

    def system_status(self, query: Query) -> Json:
        """SystemStatus."""
        return {"status": "online", "timestamp": rfc3339(self._venue.now())}

    def assets(self, query: Query) -> Json:
        """Assets."""
        specs = [listing.spec for listing in self._venue.listings.values()]
        names = sorted({asset for spec in specs for asset in (spec.base, spec.quote)})
        return {
            _ASSETS.get(name, name): {
                "aclass": "currency",
                "altname": _altname(name),
                "decimals": 10 if name in _ASSETS else 8,
                "display_decimals": 5,
                "status": "enabled",
            }
            for name in names
        }

    def asset_pairs(self, query: Query) -> Json:
        """AssetPairs: the rules."""
        return {pair: self._asset_pair(pair, name) for pair, name in self._asked(query).items()}

    def ticker(self, query: Query) -> Json:
        """Ticker: of the pairs asked for, or of all."""
        now = self._venue.now()
        return {pair: self._ticker(name, now) for pair, name in self._asked(query).items()}

    def ohlc(self, query: Query) -> Json:
        """OHLC: bars that open after `since`, and the one in progress."""
        pair, name = self._only(query)
        interval = INTERVAL_OF_MINUTES.get(query.get("interval", "1"))
        if interval is None:
            raise KrakenRefusal("EGeneral:Invalid arguments:interval")
        since, now = _whole(query, "since") * SECOND, self._venue.now()
        bars = self._venue.bars(name, interval, None, BARS_MAX, now)
        opens = bar_start(now, interval)
        if bars and bars[-1][0] < opens:
            bars.append((opens, _flat(bars[-1][1].close)))
        rows = [self._row(name, ts, bar) for ts, bar in bars if ts > since or ts == opens]
        return {pair: rows, "last": (opens - INTERVALS[interval]) // SECOND}

    def trades(self, query: Query) -> Json:
        """Trades: the last ones, or the first ones after `since` (nanoseconds, or seconds)."""
        pair, name = self._only(query)
        count, now = min(TRADES_MAX, max(1, _whole(query, "count", TRADES_MAX))), self._venue.now()
        since = _whole(query, "since")
        if since < SINCE_IN_SECONDS_MAX:
            since *= SECOND
        if "since" in query:
            trades = self._venue.trades_after(name, since, count, now)
        else:
            trades = self._venue.recent_trades(name, count, now)
        last = trades[-1].ts_trade if trades else since
        return {pair: [self._trade_row(trade) for trade in trades], "last": str(last)}

    def _asked(self, query: Query) -> dict[str, str]:
        """Kraken's and our names of the pairs asked for; of all when none is."""
        if not query.get("pair"):
            return self._pairs
        asked = query["pair"].replace("/", "").split(",")
        if any(pair not in self._pairs for pair in asked):
            raise KrakenRefusal("EQuery:Unknown asset pair")
        return {pair: self._pairs[pair] for pair in asked}

    def _only(self, query: Query) -> tuple[str, str]:
        if not query.get("pair"):
            raise KrakenRefusal("EGeneral:Invalid arguments")
        return next(iter(self._asked(query).items()))

    def _asset_pair(self, pair: str, name: str) -> Json:
        spec = self._venue.listings[name].spec
        return {
            "altname": pair,
            "wsname": f"{_altname(spec.base)}/{_altname(spec.quote)}",
            "aclass_base": "currency",
            "base": _ASSETS.get(spec.base, spec.base),
            "aclass_quote": "currency",
            "quote": _ASSETS.get(spec.quote, spec.quote),
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": decimals(spec.px_tick),
            "lot_decimals": decimals(spec.qty_step),
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, float(spec.taker_fee * 100)]],
            "fees_maker": [[0, float(spec.maker_fee * 100)]],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": str(spec.qty_min),
            "costmin": str(spec.notional_min),
            "tick_size": str(spec.px_tick),
            "status": "online",
        }

    def _ticker(self, name: str, now: int) -> Json:
        listing, quote, last = self._venue.listings[name], self._venue.quote(name), self._venue.last_trade(name)
        spans = [
            self._venue.bar_since(name, since, now) for since in (now // DAY * DAY, (now - DAY) // MINUTE * MINUTE)
        ]
        bars = [bar or _flat(last.px if last else 0.0) for bar in spans]
        px = listing.px_text
        return {
            "a": [px(quote.ask_px), "1", f"{quote.ask_qty:.3f}"] if quote else [px(0.0), "0", "0.000"],
            "b": [px(quote.bid_px), "1", f"{quote.bid_qty:.3f}"] if quote else [px(0.0), "0", "0.000"],
            "c": [px(last.px), f"{last.qty:.8f}"] if last else [px(0.0), "0.00000000"],
            "v": [f"{listing.volume(bar):.8f}" for bar in bars],
            "p": [px(listing.vwap(bar)) for bar in bars],
            "t": [bar.trade_count for bar in bars],
            "l": [px(bar.low) for bar in bars],
            "h": [px(bar.high) for bar in bars],
            "o": px(bars[0].open),
        }

    def _row(self, name: str, opens: int, bar: Kline) -> list[Any]:
        listing = self._venue.listings[name]
        prices = (bar.open, bar.high, bar.low, bar.close, listing.vwap(bar))
        return [opens // SECOND, *map(listing.px_text, prices), f"{listing.volume(bar):.8f}", bar.trade_count]

    def _trade_row(self, trade: Trade) -> list[Any]:
        px = self._venue.listings[trade.instrument].px_text(trade.px)
        side = "s" if trade.is_sell else "b"
        return [px, f"{trade.qty:.8f}", trade.ts_trade / SECOND, side, "m", "", trade.trade_id]


def pair_of(instrument: str) -> str:
    """Kraken's name of `instrument`: BTC-USDT is XBTUSDT."""
    return "".join(map(_altname, instrument.split("-")))


def asset_of(asset: str) -> str:
    """Kraken's name of `asset` where its oldest assets have a prefix: BTC is XXBT."""
    return _ASSETS.get(asset, asset)


def rfc3339(ns: int) -> str:
    """An instant as Kraken writes it, to the microsecond."""
    seconds, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _altname(asset: str) -> str:
    return "XBT" if asset == "BTC" else asset


def _flat(px: float) -> Kline:
    return Kline(
        open=px,
        high=px,
        low=px,
        close=px,
        lots=0,
        quote_units=0,
        taker_buy_lots=0,
        trade_count=0,
        first_trade_id=-1,
        last_trade_id=-1,
    )


def _whole(query: Query, name: str, default: int = 0) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise KrakenRefusal(f"EGeneral:Invalid arguments:{name}")
    return int(text)


def _answering(answer: Callable[[Query], Json]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        try:
            return reply({"error": [], "result": answer(request.query)})
        except KrakenRefusal as refusal:
            return reply({"error": [str(refusal)], "result": {}})

    return respond
