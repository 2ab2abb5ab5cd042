"""Follows a live Binance's public data into a `FollowedMarket`: the trading rules once, then trades and best quotes until the end.

    connect ── ask for quotes ── frames … ── lost, silent, or not understood ─▶ out of sight ─▶ back-off 0.5 s, doubling to 30 s ─▶ connect …

It is a connection of its own, not the feed's: what the feed believes and what the paper venue fills at come from the same venue by different
ways, so a feed that lies is found out by its fills. It costs about 25 of the venue's weight at the start and 4 at each connection; the
sockets cost none. No key, nothing but public data.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp
import msgspec
import structlog

from libs.common.instruments import symbol_of
from libs.common.messages import InstrumentSpec
from libs.common.money import plain
from libs.common.timeframe import MILLISECOND
from libs.trading.binance_ccxt import PRODUCTION_SOCKETS_URL, PRODUCTION_URL
from services.exchange_sim.followed import FollowedMarket
from services.exchange_sim.listing import FEE, Listing

ASK_S_MAX = 5.0
PING_S = 4.0
"""Half of it without a pong ends the connection: so long, at most, a dead line's last quote may still fill."""

QUIET_S_MAX = 10.0
"""Without any frame for so long the connection is renewed, as the feed renews its own."""

RETRY_S, RETRY_S_MAX = 0.5, 30.0
LASTING_S = 30.0

_log = structlog.get_logger(__name__)


class MarketUnreachable(Exception):
    """The venue does not answer, or not sensibly; to be tried again, `retry_after_s` later at the earliest. The text says what came."""

    def __init__(self, text: str, retry_after_s: float = 0.0):
        super().__init__(text)
        self.retry_after_s = retry_after_s


class UnknownInstrument(ValueError):
    """The venue does not list an instrument of the book."""


class _Symbol(msgspec.Struct):
    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    filters: list[dict[str, Any]]


class _Listed(msgspec.Struct):
    symbols: list[_Symbol]


class _Refusal(msgspec.Struct):
    code: int = 0


class _Trade(msgspec.Struct):
    trade_id: int = msgspec.field(name="t")
    px: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")
    trade_ms: int = msgspec.field(name="T")
    is_sell: bool = msgspec.field(name="m")


class _Quote(msgspec.Struct):
    update_id: int = msgspec.field(name="u")
    bid_px: str = msgspec.field(name="b")
    bid_qty: str = msgspec.field(name="B")
    ask_px: str = msgspec.field(name="a")
    ask_qty: str = msgspec.field(name="A")


class _AskedQuote(msgspec.Struct):
    symbol: str
    bid_px: str = msgspec.field(name="bidPrice")
    bid_qty: str = msgspec.field(name="bidQty")
    ask_px: str = msgspec.field(name="askPrice")
    ask_qty: str = msgspec.field(name="askQty")


class _Frame(msgspec.Struct):
    stream: str
    data: msgspec.Raw


_frame = msgspec.json.Decoder(_Frame)
_trade = msgspec.json.Decoder(_Trade)
_quote = msgspec.json.Decoder(_Quote)


async def followed_market(url: str, instruments: tuple[str, ...], now: Callable[[], int]) -> FollowedMarket:
    """The market of `instruments` at the venue at `url` (REST root), with its trading rules; nothing of it is in sight yet.

    Raises:
        MarketUnreachable: try again. UnknownInstrument: correct the settings.
    """
    async with aiohttp.ClientSession(trust_env=False) as session:
        listings = await _listings(session, url.rstrip("/"), instruments)
    return FollowedMarket(url.rstrip("/"), listings, now)


async def _listings(session: aiohttp.ClientSession, url: str, instruments: tuple[str, ...]) -> dict[str, Listing]:
    status, body, asked_s = await _ask(session, f"{url}/api/v3/exchangeInfo", instruments)
    if status == 400 and _refusal_of(body).code == -1121:
        raise UnknownInstrument(f"{url} does not list one of {', '.join(instruments)}; correct BULKHEAD_INSTRUMENTS")
    if status != 200:
        raise MarketUnreachable(f"{url} answers exchangeInfo with status {status}", asked_s)
    try:
        listed = {each.symbol: each for each in msgspec.json.decode(body, type=_Listed).symbols}
        missing = [name for name in instruments if symbol_of(name) not in listed]
        if missing:
            raise UnknownInstrument(f"{url} does not list {', '.join(missing)}; correct BULKHEAD_INSTRUMENTS")
        return {name: _listing(name, listed[symbol_of(name)]) for name in instruments}
    except (msgspec.DecodeError, LookupError, TypeError, InvalidOperation) as error:
        raise MarketUnreachable(f"{url}: the answer to exchangeInfo is not one ({type(error).__name__})") from None


def _listing(instrument: str, said: _Symbol) -> Listing:
    filters = {each["filterType"]: each for each in said.filters}
    notional = filters.get("NOTIONAL") or filters["MIN_NOTIONAL"]
    spec = InstrumentSpec(
        instrument=instrument,
        base=said.base,
        quote=said.quote,
        px_tick=plain(Decimal(filters["PRICE_FILTER"]["tickSize"])),
        qty_step=plain(Decimal(filters["LOT_SIZE"]["stepSize"])),
        qty_min=plain(Decimal(filters["LOT_SIZE"]["minQty"])),
        notional_min=plain(Decimal(notional["minNotional"])),
        taker_fee=FEE,
        maker_fee=FEE,
    )
    return Listing(spec=spec, base_px=1.0, minute_qty=1.0)


class Follower:
    """Keeps `market` in sight of the venue at `url`."""

    def __init__(self, url: str, market: FollowedMarket):
        self._url = url.rstrip("/")
        self._market = market
        self._instruments = {symbol_of(name).lower(): name for name in market.followed}
        self.trouble = "nothing was tried yet"

    async def run(self) -> None:
        """Follow until cancelled."""
        wait_s = RETRY_S
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                began = time.monotonic()
                asked_s = 0.0
                try:
                    await self._listen(session)
                except MarketUnreachable as error:
                    self.trouble, asked_s = str(error), error.retry_after_s
                except aiohttp.WSServerHandshakeError as error:
                    self.trouble, asked_s = f"HTTP {error.status}", _retry_after(error.headers)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self.trouble = f"{type(error).__name__}: {error}"[:200]
                finally:
                    self._market.lose()
                lasted = time.monotonic() - began >= LASTING_S
                wait_s = RETRY_S if lasted else min(wait_s * 2, RETRY_S_MAX)
                _log.warning("market_lost", venue=self._url, reason=self.trouble, retry_s=max(wait_s, asked_s))
                await asyncio.sleep(max(wait_s, asked_s))

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        streams = "/".join(f"{symbol}@{kind}" for symbol in self._instruments for kind in ("trade", "bookTicker"))
        address = f"{_sockets(self._url)}/stream?streams={streams}"
        async with session.ws_connect(address, heartbeat=PING_S, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)) as ws:
            await self._ask_quotes(session)
            _log.info("market_followed", venue=self._url)
            while True:
                async with asyncio.timeout(QUIET_S_MAX):  # aiohttp's own begins anew with every pong
                    message = await ws.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise MarketUnreachable(f"the connection ended ({message.type.name})")
                self._take(message.data)

    async def _ask_quotes(self, session: aiohttp.ClientSession) -> None:
        """The quotes of this moment: the sockets only tell those that change."""
        status, body, asked_s = await _ask(
            session, f"{self._url}/api/v3/ticker/bookTicker", tuple(self._market.followed)
        )
        if status != 200:
            raise MarketUnreachable(f"{self._url} answers bookTicker with status {status}", asked_s)
        try:
            for each in msgspec.json.decode(body, type=list[_AskedQuote]):
                name = self._instruments.get(each.symbol.lower())
                if name is not None and float(each.bid_px) and float(each.ask_px):
                    self._tell_quote(name, 0, each, is_asked=True)
        except (msgspec.DecodeError, ValueError) as error:
            raise MarketUnreachable(f"{self._url}: the answer to bookTicker is not one ({error})"[:200]) from None

    def _take(self, text: str) -> None:
        try:
            frame = _frame.decode(text)
            symbol, _, channel = frame.stream.partition("@")
            name = self._instruments[symbol]
            if channel == "trade":
                said = _trade.decode(frame.data)
                px, qty = _number(said.px), _number(said.qty)
                ts_trade = said.trade_ms * MILLISECOND
                self._market.trade(name, said.trade_id, ts_trade, px, qty, is_sell=said.is_sell)
            else:
                quote = _quote.decode(frame.data)
                self._tell_quote(name, quote.update_id, quote, is_asked=False)
        except (msgspec.DecodeError, LookupError, ValueError) as error:
            raise MarketUnreachable(f"a frame that is none ({type(error).__name__}: {error})"[:200]) from None

    def _tell_quote(self, name: str, update_id: int, said: _Quote | _AskedQuote, *, is_asked: bool) -> None:
        bid, ask = (_number(said.bid_px), _number(said.bid_qty)), (_number(said.ask_px), _number(said.ask_qty))
        if bid[0] < ask[0] or not ask[0]:  # a side without orders is told as zeros
            self._market.quote(name, update_id, bid, ask, is_asked=is_asked)


async def _ask(session: aiohttp.ClientSession, url: str, instruments: tuple[str, ...]) -> tuple[int, bytes, float]:
    """Status, body, and for how many seconds the venue wants to be left alone."""
    symbols = msgspec.json.encode([symbol_of(name) for name in instruments]).decode()
    try:
        async with session.get(
            url, params={"symbols": symbols}, timeout=aiohttp.ClientTimeout(total=ASK_S_MAX)
        ) as answer:
            return answer.status, await answer.read(), _retry_after(answer.headers)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise MarketUnreachable(f"{url}: {type(error).__name__}: {error}"[:200]) from None


def _sockets(url: str) -> str:
    return PRODUCTION_SOCKETS_URL if url == PRODUCTION_URL else f"ws{url.removeprefix('http')}"


def _number(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text} is no price and no quantity")
    return value


def _refusal_of(body: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(body, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal()


def _retry_after(headers: Any) -> float:
    said = "" if headers is None else headers.get("Retry-After", "")
    return min(float(said), 3 * 86_400.0) if said.isascii() and said.isdigit() else 0.0
