"""The venue as a server: one aiohttp application, and the task that lets time pass.

`start` reads what a former run left, listens, and writes the port; `stop` closes every connection and saves. Between the two, in free
mode, market events are played as they fall due, and the time is saved ahead of itself, so that even a killed venue never goes back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import structlog
from aiohttp import web

from libs.trading.venue import SpotVenue
from services.exchange_sim.account_store import AccountStore
from services.exchange_sim.clock import VenueClock
from services.exchange_sim.control import Control
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.fault_desk import FaultDesk
from services.exchange_sim.followed import FollowedMarket
from services.exchange_sim.follower import Follower, followed_market
from services.exchange_sim.generated import GeneratedMarket
from services.exchange_sim.hub import Hub
from services.exchange_sim.kraken_account import KrakenAccount
from services.exchange_sim.kraken_executions import KrakenNews
from services.exchange_sim.kraken_orders import KrakenDesk
from services.exchange_sim.kraken_rest import KrakenRest
from services.exchange_sim.kraken_signing import KrakenGate
from services.exchange_sim.kraken_ws import KrakenSockets
from services.exchange_sim.kucoin_account import KucoinAccount
from services.exchange_sim.kucoin_private import KucoinPrivate
from services.exchange_sim.kucoin_rest import KucoinRest
from services.exchange_sim.kucoin_signing import KucoinGate
from services.exchange_sim.kucoin_user import KucoinUser
from services.exchange_sim.kucoin_ws import KucoinSockets
from services.exchange_sim.market import Market
from services.exchange_sim.order_lists import ListDesk
from services.exchange_sim.orders import OrderDesk
from services.exchange_sim.other_hands import OtherHands
from services.exchange_sim.other_venues import KRAKEN, KUCOIN, OtherVenue
from services.exchange_sim.recorded import RecordedMarket
from services.exchange_sim.replies import reply, speak_binance
from services.exchange_sim.rest_account import AccountRest
from services.exchange_sim.rest_key import KeyRest
from services.exchange_sim.rest_market import MarketRest
from services.exchange_sim.settings import WEIGHT_LIMIT, Settings, passphrase_of, rights_of
from services.exchange_sim.signing import Gate
from services.exchange_sim.sockets import WATCH
from services.exchange_sim.twins import Twins
from services.exchange_sim.weights import Weights
from services.exchange_sim.ws_account import AccountSockets
from services.exchange_sim.ws_market import MarketSockets

SHUTDOWN_S = 0.3
BEAT_S = 1.0
AHEAD_BEATS = 2
BEATS_BETWEEN_ACCOUNTS = 10
WAIT_S_MIN = 0.002
WAIT_S_MAX = 0.05
EVENTS_BETWEEN_BREATHS = 200
SECOND = 1_000_000_000

Part = KrakenAccount | KrakenRest | KrakenSockets | KucoinPrivate | KucoinRest | KucoinSockets

_log = structlog.get_logger(__name__)


class ExchangeServer:
    """One venue; `start` before `port`, `stop` at the end. `market`: another one than the settings ask for."""

    def __init__(self, settings: Settings, market: Market | None = None):
        self._settings = settings
        self._market = market
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            StoreError: the saved account belongs to another market.
            RecordingError: the recorded frames cannot be used.
            MarketUnreachable, UnknownInstrument: the market that is to be followed does not answer, or lists less.
            OSError: a file or the port is not ours to use.
        """
        settings = self._settings
        market = self._market or await market_of(settings)
        specs = {instrument: history.listing.spec for instrument, history in market.histories.items()}
        twins = Twins((KRAKEN, KUCOIN), market)
        is_followed = isinstance(market, FollowedMarket)
        self.exchange = Exchange(
            market,
            SpotVenue(specs | twins.specs, settings.balances(), settings.fill_model(), quote_fees=twins.specs),
            AccountStore(settings.folder),
            _wall_clock if is_followed else lambda now: VenueClock(now, settings.speed),
            elsewhere=None
            if is_followed
            else twins,  # other venues' prices are their own, and not derived from this one's
        )
        self.hub = Hub(self.exchange)
        self.exchange.listeners.append(self.hub)
        self.faults = FaultDesk()
        self.hands = OtherHands(self.exchange)
        self.control = Control(self.exchange, self.hub, self.faults)
        self._runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=SHUTDOWN_S, handle_signals=False
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, settings.sim_host, settings.sim_port).start()
        self.port = int(self._runner.addresses[0][1])
        (settings.folder / "port").write_text(f"{self.port}\n")
        self._tasks = [asyncio.create_task(self._let_time_pass()), asyncio.create_task(self._beat())]
        if isinstance(market, FollowedMarket):
            self._tasks.append(asyncio.create_task(Follower(settings.sim_follow_url, market).run()))
        _log.info(
            "venue_open", port=self.port, speed=settings.speed, now_ns=self.exchange.clock.now_ns(), **market.identity
        )
        return self.port

    async def stop(self) -> None:
        """Close every connection and save."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.faults.end()
        for socket in list(self.hub.sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.exchange.save()
        _log.info("venue_closed", now_ns=self.exchange.clock.now_ns())

    async def failed(self) -> None:
        """Return never, or raise what ended a background task."""
        await asyncio.gather(*self._tasks)

    def _application(self) -> web.Application:
        gate = Gate(*self._settings.credentials(), self.exchange.clock, rights_of(self._settings))
        desk = OrderDesk(self.exchange)
        lists = ListDesk(self.exchange, desk)
        limit = self._settings.sim_weight_limit
        app = web.Application(middlewares=[self.faults.rest.around, Weights(limit).around, speak_binance])
        app[WATCH] = self.faults.sockets
        for part in (
            MarketRest(self.exchange, self.hub, desk, gate, limit or WEIGHT_LIMIT),
            AccountRest(self.exchange, desk, lists, gate, self.faults.script),
            MarketSockets(self.hub),
            AccountSockets(self.exchange, self.hub, desk, lists, gate, self.faults.script),
            self.control,
            self.hands,
            KeyRest(gate, self.exchange.clock),
            *self._other_venues(gate),
        ):
            app.router.add_routes(part.routes())
        app.router.add_get("/livez", self._alive)
        app.router.add_get("/readyz", self._alive)
        return app

    def _other_venues(self, gate: Gate) -> Iterator[Part]:
        """Kraken and KuCoin: on the same market, in the same process, with the same account."""
        kraken, kucoin = OtherVenue(KRAKEN, self.exchange), OtherVenue(KUCOIN, self.exchange)
        key, secret = self._settings.credentials()
        kraken_gate = KrakenGate(key, secret, lambda: gate.rights, kraken.now)
        kraken_desk = KrakenDesk(self.exchange, kraken)
        kraken_news = KrakenNews(kraken_desk, self.exchange.venue.balances)
        kucoin_gate = KucoinGate(gate, key, secret, passphrase_of(self._settings), self.exchange.clock)
        kucoin_account = KucoinAccount(self.exchange, kucoin)
        kucoin_user = KucoinUser(self.exchange.venue, kucoin_account, kucoin_gate.token)
        streams = (
            KrakenSockets(kraken, self.hub.sockets, kraken_gate, kraken_news),
            KucoinSockets(kucoin, self.hub.sockets, kucoin_user),
        )
        self.exchange.listeners.extend(streams)
        yield from streams
        yield KrakenAccount(kraken_desk, kraken_gate, self.faults.script)
        yield KrakenRest(kraken)
        yield KucoinPrivate(self.exchange, kucoin, kucoin_account, kucoin_gate, self.faults.script)
        yield KucoinRest(kucoin, kucoin_account.market_status, lambda: gate.skew_ms)

    async def _alive(self, request: web.Request) -> web.Response:
        return reply({"status": "ok", "now_ns": self.exchange.clock.now_ns()})

    async def _let_time_pass(self) -> None:
        exchange, speed = self.exchange, self.exchange.clock.speed
        while speed:
            played = 0
            while exchange.next_ts <= (now := exchange.clock.now_ns()):
                exchange.play_next()
                played += 1
                if played % EVENTS_BETWEEN_BREATHS == 0:
                    await asyncio.sleep(0)
            due_s = (exchange.next_ts - now) / SECOND / speed
            await asyncio.sleep(min(WAIT_S_MAX, max(WAIT_S_MIN, due_s)))

    async def _beat(self) -> None:
        """Every wall second: tell the time and save it ahead; now and then save the account, so that a restart is short."""
        ahead_ns = int(AHEAD_BEATS * BEAT_S * SECOND * self.exchange.clock.speed)
        beats = 0
        while True:
            self.control.tell_time()
            if self.exchange.clock.speed and beats % BEATS_BETWEEN_ACCOUNTS == 0:
                self.exchange.save(ahead_ns)
            elif self.exchange.clock.speed:
                self.exchange.save_clock(ahead_ns)
            beats += 1
            await asyncio.sleep(BEAT_S)


def _wall_clock(resume_at: int) -> VenueClock:
    """The time of a live market, which does not wait for us."""
    return VenueClock(time.time_ns(), 1.0, time.time_ns)


async def market_of(settings: Settings) -> Market:
    """The market that `settings` ask for.

    Raises:
        RecordingError: the recorded frames or bars cannot be used.
        MarketUnreachable, UnknownInstrument: the market that is to be followed does not answer, or lists less.
    """
    if settings.sim_follow_url:
        return await followed_market(settings.sim_follow_url, settings.instruments, time.time_ns)
    if settings.sim_data is not None:
        return RecordedMarket(settings.sim_data, settings.sim_seed)
    if settings.sim_bars is not None:
        from services.exchange_sim.recorded_bars import bars_market  # pyarrow is loaded by whom it serves only

        starts_at = settings.start_ns if "sim_start" in settings.model_fields_set else None
        return bars_market(settings.sim_bars, settings.sim_seed, settings.listings(), starts_at)
    return GeneratedMarket(settings.sim_seed, settings.listings(), settings.start_ns)
