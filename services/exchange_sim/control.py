"""The strings behind the stage, /sim/…: venue time, its advance in step mode, scripted faults, and the whole truth of the account.

Nothing here exists at a real venue; services use only the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_sim.exchange import Exchange
from services.exchange_sim.fault_desk import FaultDesk
from services.exchange_sim.faults import FaultRefused, fault_of
from services.exchange_sim.hub import Hub
from services.exchange_sim.replies import reply
from services.exchange_sim.sockets import Socket
from services.exchange_sim.wire import Json

FLUSH_S_MAX = 2.0
FLUSH_LOOK_S = 0.001
EVENTS_BETWEEN_BREATHS = 500


class _Advance(msgspec.Struct, forbid_unknown_fields=True):
    to: int


class Control:
    """Handlers of /sim."""

    def __init__(self, exchange: Exchange, hub: Hub, faults: FaultDesk):
        self._exchange = exchange
        self._hub = hub
        self._faults = faults
        self._watchers: dict[Socket, None] = {}
        self._advancing = asyncio.Lock()

    def routes(self) -> Iterable[web.RouteDef]:
        """Where they live."""
        yield web.get("/sim/clock", self.clock)
        yield web.get("/sim/state", self.state)
        yield web.post("/sim/advance", self.advance)
        yield web.get("/sim/account", self.account)
        yield web.get("/sim/faults", self.faults)
        yield web.post("/sim/faults", self.add_fault)
        yield web.delete("/sim/faults", self.end_faults)

    async def clock(self, request: web.Request) -> web.WebSocketResponse:
        """A socket that is told venue time."""
        socket = Socket("sim", is_market=False)
        self._hub.sockets[socket] = None
        try:
            await socket.open(request)
            socket.send(self._time())
            self._watchers[socket] = None
            async for _ in socket.ws:
                pass
        finally:
            self._watchers.pop(socket, None)
            self._hub.drop(socket)
        return socket.ws

    def tell_time(self) -> None:
        """Tell every clock socket what time it is."""
        text = self._time()
        for socket in self._watchers:
            socket.send(text)

    async def state(self, request: web.Request) -> web.Response:
        """GET state."""
        self._exchange.catch_up()
        return reply(self._state())

    async def advance(self, request: web.Request) -> web.Response:
        """POST advance: play everything up to and including `to`, see it sent, answer the state."""
        if self._exchange.clock.speed:
            return reply({"error": "time runs by itself: start with BULKHEAD_SIM_MODE=step to move it"}, 409)
        try:
            to = msgspec.json.decode(await request.read(), type=_Advance).to
        except msgspec.DecodeError as error:
            return reply({"error": f'wanted {{"to": <nanoseconds>}}: {error}'}, 400)
        async with self._advancing:
            now = self._exchange.clock.now_ns()
            if to < now:
                return reply({"error": f"it is {now} already, and time does not go back to {to}"}, 400)
            await self._play_until(to)
        return reply(self._state())

    async def account(self, request: web.Request) -> web.Response:
        """GET account: every order, every fill, the balances, and how often each client id was accepted."""
        self._exchange.catch_up()
        venue = self._exchange.venue
        body = {
            "orders": [
                {**msgspec.structs.asdict(o), "filled": o.cum_qty, "status": o.ord_status} for o in venue.all_orders()
            ],
            "fills": [msgspec.structs.asdict(fill) for fill in venue.fills()],
            "balances": {held.asset: {"free": held.free, "locked": held.locked} for held in venue.balances()},
            "pairs": [msgspec.structs.asdict(pair) for pair in venue.pairs.all()],
            "seen_cl_ord_ids": self._exchange.seen,
        }
        return reply(body)

    async def faults(self, request: web.Request) -> web.Response:
        """GET faults: what is still to strike, and what lasts."""
        return reply(self._faults.shown())

    async def add_fault(self, request: web.Request) -> web.Response:
        """POST faults: add to the script, strike what can be struck at once; see `faults` for the words."""
        try:
            fault = fault_of(await request.read())
        except FaultRefused as error:
            return reply({"error": str(error)}, 400)
        return reply({**self._faults.add(fault), **self._faults.shown()})

    async def end_faults(self, request: web.Request) -> web.Response:
        """DELETE faults: end all that waits or lasts, or with `?id=` one of them."""
        asked = request.query.get("id")
        if asked is not None and not asked.isdecimal():
            return reply({"error": f"wanted ?id=<number of GET /sim/faults>, not {asked!r}"}, 400)
        ended = self._faults.end(None if asked is None else int(asked))
        if asked is not None and not ended:
            return reply({"error": f"no fault {asked} is active; GET /sim/faults shows those that are"}, 404)
        return reply({"ended": ended, **self._faults.shown()})

    async def _play_until(self, to: int) -> None:
        played = 0
        while self._exchange.next_ts <= to:
            self._exchange.clock.step_to(self._exchange.next_ts)
            self._exchange.play_next()
            played += 1
            if played % EVENTS_BETWEEN_BREATHS == 0:
                await asyncio.sleep(0)
        self._exchange.clock.step_to(to)
        self._exchange.save_clock()
        self.tell_time()
        waited_s = 0.0
        while not self._hub.is_flushed and waited_s < FLUSH_S_MAX:
            await asyncio.sleep(FLUSH_LOOK_S)
            waited_s += FLUSH_LOOK_S

    def _time(self) -> str:
        clock = self._exchange.clock
        return msgspec.json.encode({"now_ns": clock.now_ns(), "speed": clock.speed}).decode()

    def _state(self) -> Json:
        instruments: dict[str, Any] = {}
        for instrument in self._exchange.market.histories:
            quote, last = self._exchange.quotes.get(instrument), self._exchange.last_trades.get(instrument)
            instruments[instrument] = {
                "bid": quote.bid_px if quote else None,
                "ask": quote.ask_px if quote else None,
                "last_trade_id": last.trade_id if last else None,
                "last_px": last.px if last else None,
            }
        return {
            "now_ns": self._exchange.clock.now_ns(),
            "speed": self._exchange.clock.speed,
            "market": self._exchange.market.identity,
            "out_of_sight": sorted(self._exchange.out_of_sight),
            "instruments": instruments,
        }
