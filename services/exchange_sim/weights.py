"""How Binance counts calls: each has a weight, a caller has so much a minute, and who goes on when told to stop is banned.

Weights, headers, codes and texts are those of the documentation of 2025; a minute is one of the wall clock, because what it protects, and
what a client's own throttle is made for, runs on that. Callers are told apart by address. How many calls after a 429 make a ban is not
documented; here it is `REFUSALS_BEFORE_BAN`, and each further ban takes twice as long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from services.exchange_sim.rest_faults import Answering
from services.exchange_sim.signing import ApiError

MINUTE_S = 60
ORDER_WINDOW_S = 10
REFUSALS_BEFORE_BAN = 5
BAN_S = 120
BAN_S_MAX = 3 * 86_400
COUNTED = "/api/v3/"
COUNTED_APART = "/sapi/v1/"
"""These have a count of their own; each path that we have weighs 1 of 12,000 a minute, and nobody is refused."""
ORDERS = {("POST", "order"): 1, ("POST", "order/cancelReplace"): 1, ("POST", "orderList/oco"): 2}
"""How many orders a call enters."""
TOO_MANY_REQUESTS = -1003

WEIGHTS = {
    ("GET", "ping"): 1,
    ("GET", "time"): 1,
    ("GET", "exchangeInfo"): 20,
    ("GET", "trades"): 25,
    ("GET", "historicalTrades"): 25,
    ("GET", "aggTrades"): 4,
    ("GET", "klines"): 2,
    ("GET", "ticker/24hr"): 2,
    ("GET", "ticker/price"): 2,
    ("GET", "ticker/bookTicker"): 2,
    ("GET", "account"): 20,
    ("GET", "order"): 4,
    ("GET", "openOrders"): 6,
    ("GET", "allOrders"): 20,
    ("GET", "myTrades"): 20,
    ("GET", "orderList"): 4,
    ("GET", "openOrderList"): 6,
}
WEIGHTS_OF_ALL_SYMBOLS = {"ticker/24hr": 80, "ticker/price": 4, "ticker/bookTicker": 4, "openOrders": 80}
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50))
DEPTH_WEIGHT_MAX = 250
DAY_TICKER_WEIGHTS = ((20, 2), (100, 40))
MY_TRADES_OF_ORDER = 5


def weight_of(method: str, path: str, query: Mapping[str, str]) -> int:
    """What a call of /api/v3/… costs."""
    name = path.removeprefix(COUNTED)
    if method == "GET" and name == "depth":
        limit = query.get("limit", "100")
        asked = int(limit) if limit.isdecimal() else 0
        return next((weight for most, weight in DEPTH_WEIGHTS if asked <= most), DEPTH_WEIGHT_MAX)
    if method == "GET" and name in WEIGHTS_OF_ALL_SYMBOLS and "symbol" not in query:
        if name == "ticker/24hr" and "symbols" in query:
            symbols = query["symbols"].count(",") + 1
            return next((weight for most, weight in DAY_TICKER_WEIGHTS if symbols <= most), 80)
        return WEIGHTS_OF_ALL_SYMBOLS[name]
    if method == "GET" and name == "myTrades" and "orderId" in query:
        return MY_TRADES_OF_ORDER
    return WEIGHTS.get((method, name), 1)


class _Caller(msgspec.Struct):
    """What one address has used, and what it did when it was told to stop."""

    minute: int = 0
    used: int = 0
    used_apart: int = 0
    refused: int = 0
    bans: int = 0
    banned_until: float = 0.0


class Refusal(ApiError):
    """429 or 418, with the seconds to wait."""

    def __init__(self, status: int, message: str, retry_after_s: int):
        super().__init__(status, TOO_MANY_REQUESTS, message)
        self.retry_after_s = retry_after_s


class Weights:
    """Counts calls and orders. `limit` a minute; 0: counted, never refused. `clock` is seconds since 1970."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.time):
        self._limit = limit
        self._clock = clock
        self._callers: dict[str, _Caller] = {}
        self._orders: tuple[int, int] = (0, 0)

    def spend(self, address: str, weight: int) -> int:
        """Count a call; what its caller has used this minute.

        Raises:
            Refusal: it was too much.
        """
        now = self._clock()
        caller = self._caller(address, now)
        if now < caller.banned_until:
            raise _banned(caller, now)
        caller.used += weight
        if not self._limit or caller.used <= self._limit:
            return caller.used
        caller.refused += 1
        if caller.refused > REFUSALS_BEFORE_BAN:
            caller.banned_until = now + min(BAN_S_MAX, BAN_S * 2**caller.bans)
            caller.bans += 1
            caller.refused = 0
            raise _banned(caller, now)
        raise Refusal(
            429,
            f"Too much request weight used; current limit is {self._limit} request weight per 1 MINUTE."
            " Please use WebSocket Streams for live updates to avoid polling the API.",
            math.ceil((caller.minute + 1) * MINUTE_S - now),
        )

    def used(self, address: str) -> int:
        """What a caller has used this minute."""
        return self._caller(address, self._clock()).used

    def count_orders(self, taken: int) -> int:
        """So many more orders were taken; how many in these ten seconds."""
        window = int(self._clock() // ORDER_WINDOW_S)
        count = self._orders[1] + taken if self._orders[0] == window else taken
        self._orders = (window, count)
        return count

    @web.middleware
    async def around(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """Count a request, refuse it or let it pass, and say in the answer's headers what was used."""
        address = request.remote or ""
        if not request.path.startswith(COUNTED):
            answer = await handler(request)
            if request.path.startswith(COUNTED_APART) and not answer.prepared:
                caller = self._caller(address, self._clock())
                caller.used_apart += 1
                answer.headers["X-SAPI-USED-IP-WEIGHT-1M"] = str(caller.used_apart)
            return answer
        try:
            self.spend(address, weight_of(request.method, request.path, request.query))
        except Refusal as refusal:
            body = msgspec.json.encode({"code": refusal.code, "msg": refusal.message})
            answer = web.Response(body=body, status=refusal.status, content_type="application/json")
            answer.headers["Retry-After"] = str(refusal.retry_after_s)
        else:
            answer = await handler(request)
            taken = ORDERS.get((request.method, request.path.removeprefix(COUNTED)), 0)
            if taken and answer.status == 200 and not answer.prepared:
                answer.headers["X-MBX-ORDER-COUNT-10S"] = str(self.count_orders(taken))
        if not answer.prepared:
            used = str(self.used(address))
            answer.headers["X-MBX-USED-WEIGHT"] = used
            answer.headers["X-MBX-USED-WEIGHT-1M"] = used
        return answer

    def _caller(self, address: str, now: float) -> _Caller:
        caller = self._callers.setdefault(address, _Caller())
        minute = int(now // MINUTE_S)
        if caller.minute != minute:
            caller.minute, caller.used, caller.used_apart, caller.refused = minute, 0, 0, 0
        return caller


def _banned(caller: _Caller, now: float) -> Refusal:
    return Refusal(
        418,
        f"Way too much request weight used; IP banned until {int(caller.banned_until * 1000)}."
        " Please use WebSocket Streams for live updates to avoid bans.",
        math.ceil(caller.banned_until - now),
    )
