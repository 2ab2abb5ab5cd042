"""A venue that answers nonsense with status 200 is a venue that is not available: real ccxt, a server that lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import ccxt.pro
import pytest
from aiohttp import web

from libs.common.timeframe import MINUTE
from libs.runtime.adapter import NotGranted
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.trading.binance_ccxt import ccxt_config
from libs.trading.public_ccxt import kraken_config, kucoin_config
from services.market_feed.adapters.ccxt_reader import CcxtReader
from services.market_feed.adapters.dialects import Binance, Kraken
from services.market_feed.adapters.feed import MarketFeed
from services.market_feed.adapters.rest import RestVenue, VenueUnavailable
from services.market_feed.settings import Settings
from tests.unit.market_feed.tape import BTC, T0

GRACE = 500 * 1_000_000
MARKET_LIST = [
    {"id": "XBTUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "XBT", "quoteId": "USDT"}
    | {"spot": True, "type": "spot", "active": True, "contract": False, "linear": None, "inverse": None}
]
MS = T0 // 1_000_000

MARKETS = """{"symbols": [{"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
  "baseAssetPrecision": 8, "quotePrecision": 8, "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": true,
  "permissions": ["SPOT"], "filters": [FILTERS]}]}"""
FILTERS = """{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
  {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
  {"filterType": "NOTIONAL", "minNotional": "5.0"}"""


class Liar:
    """Answers each path with the text it was told to."""

    def __init__(self) -> None:
        self.says: dict[str, str] = {"exchangeInfo": MARKETS.replace("FILTERS", FILTERS)}
        self.asked: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        text = self.says.get(request.match_info["path"].rpartition("/")[2], "{}")
        return web.Response(text=text, content_type="application/json")


@pytest.fixture
async def liar() -> AsyncIterator[tuple[Liar, RestVenue]]:
    server = Liar()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    exchange = ccxt.pro.binance(ccxt_config(f"http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        yield server, RestVenue(exchange, Binance(), (BTC,))
    finally:
        await exchange.close()
        await runner.cleanup()


async def test_the_venues_rules(liar: tuple[Liar, RestVenue]) -> None:
    """Steps and limits are exact decimals."""
    (spec,) = await liar[1].specs()
    assert [str(each) for each in (spec.px_tick, spec.qty_step, spec.qty_min, spec.notional_min)] == [
        "0.01",
        "0.00001",
        "0.00001",
        "5",
    ]


@pytest.mark.parametrize("text", ["", "<html>", "[1, 2", '{"symbols": 7}'])
async def test_rules_that_are_none(liar: tuple[Liar, RestVenue], text: str) -> None:
    """Empty, HTML, truncated or of another shape: try again later (or the instrument is truly not listed)."""
    server, rest = liar
    server.says["exchangeInfo"] = text
    with pytest.raises((VenueUnavailable, ValueError)):
        await rest.specs()


async def test_rules_without_a_step_are_not_guessed(liar: tuple[Liar, RestVenue]) -> None:
    """An instrument whose quantity step is unknown cannot be traded, so it cannot be told."""
    server, rest = liar
    server.says["exchangeInfo"] = MARKETS.replace("FILTERS", "")
    with pytest.raises(VenueUnavailable, match="load_markets"):
        await rest.specs()


@pytest.mark.parametrize("text", ["{}", '{"serverTime": 12}', '{"serverTime": null}', "<html>"])
async def test_a_time_that_is_none(liar: tuple[Liar, RestVenue], text: str) -> None:
    """Without the venue's time nothing can be said to be final."""
    server, rest = liar
    server.says["time"] = text
    with pytest.raises(VenueUnavailable, match="fetch_time"):
        await rest.now()


@pytest.mark.parametrize(
    "text", ['[{"symbol": "BTCUSDT"}]', '[{"symbol": "BTCUSDT", "bidPrice": "2", "askPrice": "1"}]']
)
async def test_a_quote_that_is_none_is_left_out(liar: tuple[Liar, RestVenue], text: str) -> None:
    """An empty book, or a crossed one: no price is better than a wrong one."""
    server, rest = liar
    await rest.specs()
    server.says["bookTicker"] = text
    assert await rest.quotes(T0) == []


@pytest.mark.parametrize("text", ["[]", "<html>"])
async def test_quotes_that_name_nobody(liar: tuple[Liar, RestVenue], text: str) -> None:
    """An answer that leaves out what was asked for is no answer."""
    server, rest = liar
    await rest.specs()
    server.says["bookTicker"] = text
    with pytest.raises(VenueUnavailable, match="quotes"):
        await rest.quotes(T0)


@pytest.mark.parametrize("text", ["{}", "{}x", "<html>", f'[[{MS + 1}, "1", "1", "1", "1", "1"]]', f'[[{MS}, "1"]]'])
async def test_bars_that_are_none(liar: tuple[Liar, RestVenue], text: str) -> None:
    """A bar off its boundary or without fields discredits the whole answer."""
    server, rest = liar
    await rest.specs()
    server.says["klines"] = text
    with pytest.raises(VenueUnavailable, match="bars"):
        await rest.history(BTC, "1m", T0, T0 + MINUTE)


async def test_a_venue_without_bars_has_no_last_price(liar: tuple[Liar, RestVenue]) -> None:
    """A new listing nobody has traded yet."""
    server, rest = liar
    await rest.specs()
    server.says["klines"] = "[]"
    assert await rest.last_px(BTC) is None
    assert await rest.history(BTC, "1m", T0, T0 + MINUTE) == []


async def test_history_is_paged(liar: tuple[Liar, RestVenue]) -> None:
    """The next page begins behind the last bar of the one before."""
    server, rest = liar
    await rest.specs()
    server.says["klines"] = f'[[{MS}, "1", "1", "1", "1", "1"], [{MS + 60_000}, "1", "1", "1", "1", "1"]]'
    server.asked.clear()
    assert len(await rest.history(BTC, "1m", T0, T0 + 2 * MINUTE)) == 2
    assert [(each["startTime"], each["endTime"], each["limit"]) for each in server.asked] == [
        (str(MS), str(MS + 2 * 60_000 - 1), str(Binance.page))
    ]


async def test_a_page_from_before_what_was_asked_for_is_no_answer(liar: tuple[Liar, RestVenue]) -> None:
    """A venue that ignores where history was to go on would be asked for the same page for ever."""
    server, rest = liar
    await rest.specs()
    server.says["klines"] = f'[[{MS - 60_000}, "1", "1", "1", "1", "1"]]'
    with pytest.raises(VenueUnavailable, match="asked from"):
        await rest.history(BTC, "1m", T0, T0 + 2 * MINUTE)


@pytest.mark.parametrize(
    ("venue_ms", "next_volume", "waited", "final"),
    [
        (MS + 60_000, "0", False, T0),
        (MS + 60_000, "0", True, T0 + MINUTE),
        (MS + 60_000, "1", False, T0 + MINUTE),
        (MS + 60_499, "0", False, T0),
        (MS + 60_500, "0", False, T0 + MINUTE),
        (MS + 59_999, "0", True, T0),
    ],
)
async def test_when_a_minute_is_final(
    liar: tuple[Liar, RestVenue], venue_ms: int, next_volume: str, waited: bool, final: int
) -> None:
    """A later trade, or the venue's clock past the grace, or its end and a long wait; never before its end."""
    server, rest = liar
    await rest.specs()
    server.says["time"] = f'{{"serverTime": {venue_ms}}}'
    server.says["klines"] = f'[[{MS}, "1", "1", "1", "1", "1"], [{MS + 60_000}, "1", "1", "1", "1", "{next_volume}"]]'
    _, until = await rest.minutes(BTC, T0, T0 + MINUTE, grace=GRACE, waited=waited)
    assert until == final


async def test_the_feed_performs_no_requests() -> None:
    """Its machine asks nothing; being asked is a defect."""
    feed = MarketFeed(Settings())
    with pytest.raises(NotImplementedError, match="Request"):
        await feed.perform(Asked("r", Request(valid_until=0), 1, 0, "c", "c"))


@pytest.mark.parametrize("text", ['{"result": {"last": 1}}', '{"result": {}}', "{}", '{"result": {"XBTUSDT": 7}}'])
async def test_an_answer_without_bars_ends_nothing(liar: tuple[Liar, RestVenue], text: str) -> None:
    """Kraken names its rows by pair; where no pair is named there is no answer, and the feed goes on asking."""
    server, rest = liar
    server.says["OHLC"] = text
    exchange = ccxt.pro.kraken(kraken_config(url_of(rest)))
    try:
        exchange.set_markets(MARKET_LIST)
        with pytest.raises(VenueUnavailable, match="kraken bars"):
            await RestVenue(exchange, Kraken(), (BTC,)).last_px(BTC)
    finally:
        await exchange.close()


class Unheard:
    """A sink that hears nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nothing was to be told, got {name}")


class Warned:
    """A logger that keeps what it is warned of."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def warning(self, event: str, *, reason: str, **_: Any) -> None:
        self.reasons.append(f"{event} {reason}")


async def test_what_ccxt_raises_ends_no_reader(liar: tuple[Liar, RestVenue]) -> None:
    """An error of its own that is none of ccxt's kinds (here: not opened yet) is a lost socket to us, and we try again."""
    _, rest = liar
    exchange, warned = ccxt.pro.kucoin(kucoin_config(url_of(rest))), Warned()
    exchange.set_markets(MARKET_LIST)
    reader = CcxtReader(exchange, "kucoin", (BTC,), Unheard(), lambda: T0, warned)
    task = asyncio.create_task(reader.run())
    try:
        async with asyncio.timeout(10):
            while len(warned.reasons) < 6 and not task.done():  # noqa: ASYNC110  (a logger gives no event to wait for)
                await asyncio.sleep(0.01)
        assert not task.done()
        assert {reason.partition(" ")[0] for reason in warned.reasons} == {"socket_lost"}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await exchange.close()


def url_of(rest: RestVenue) -> str:
    """Where the liar is."""
    return str(rest.exchange.urls["api"]["public"]).partition("/api")[0]


class Counting:
    """A budget that grants everything but the last, and notes what it was asked and told."""

    def __init__(self, grants: int):
        self.grants = grants
        self.taken: list[tuple[str, int, str]] = []
        self.told_of: list[tuple[str, int]] = []

    async def take(
        self, venue: str, weight: int, lane: str = "data", deadline_s: float = 0.0, *, orders: int = 0
    ) -> None:
        if len(self.taken) == self.grants:
            raise NotGranted("no room")
        self.taken.append((venue, weight, lane))

    def told(self, venue: str, status: int, headers: Mapping[str, str]) -> None:
        self.told_of.append((venue, status))


async def test_every_request_takes_its_weight_and_one_without_room_is_not_sent(liar: tuple[Liar, RestVenue]) -> None:
    """Rules cost 20, the time 1; what gets no room counts as a venue that is not available."""
    server, rest = liar
    budget = Counting(2)
    rest = RestVenue(rest.exchange, Binance(), (BTC,), budget)
    server.says["time"] = f'{{"serverTime": {MS}}}'
    await rest.specs()
    assert await rest.now() == T0
    sent = len(server.asked)
    with pytest.raises(VenueUnavailable, match="fetch_time: NotGranted: no room"):
        await rest.now()
    assert len(server.asked) == sent
    assert budget.taken == [("binance", 20, "data"), ("binance", 1, "data")]
    assert budget.told_of == [("binance", 200), ("binance", 200)]
