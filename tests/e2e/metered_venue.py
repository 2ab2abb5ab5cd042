"""A venue that meters as Binance does, on a short minute, and its callers as real processes.

The venue speaks the wire form that ccxt reads: paths, `X-MBX-USED-WEIGHT-1M`, `X-MBX-ORDER-COUNT-10S`, 429 and 418 with
`Retry-After`. It counts in fixed windows, as Binance does, and notes every arrival, so that a test can ask for any window.

    python -m tests.e2e.metered_venue KEYS HOME NATS_URL SERVICE WRITER VENUE_URL LANE     one caller, until it is killed
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import structlog
from aiohttp import web

from libs.runtime import venue_terms
from libs.runtime.adapter import NotGranted
from libs.runtime.budget_metrics import BudgetMetrics
from libs.runtime.bus import Bus
from libs.runtime.ccxt_budget import spend_from
from libs.runtime.contract import Contract, Zone
from libs.runtime.nats_config import connect_options
from libs.runtime.streams import TRADING
from libs.runtime.venue_budget import SharedBudget
from libs.runtime.venue_terms import Terms
from libs.trading.binance_ccxt import ccxt_config
from tests.nats_stack import NatsStack

VENUE, EGRESS = "metered", "home"
TERMS = Terms(
    limit=60,
    window_s=6,
    reserve=12,
    chunk=4,
    order_chunk=2,
    cost_weight=5,
    used_header="x-mbx-used-weight-1m",
    orders_header="x-mbx-order-count-10s",
)
WEIGHTS = {"klines": 2, "order": 1, "time": 1, "account": 20, "openOrders": 6, "myTrades": 20, "exchangeInfo": 20}
CALLERS = tuple(
    Contract(service=service, writer=writer, zone=zone, consumes=(), produces=(), calls_venues=True)
    for service, writer, zone in (
        ("feed-a", "feed.0", Zone.FEED),
        ("feed-b", "feed.1", Zone.FEED),
        ("executor", "exec", Zone.EXEC),
    )
)


def use_short_minute() -> None:
    """Let this process know the venue's rules."""
    venue_terms._TERMS[VENUE] = TERMS


class MeteredVenue:
    """Counts, tells, refuses, bans."""

    def __init__(self, limit: int = TERMS.limit) -> None:
        self.limit = limit
        self.arrivals: list[tuple[float, int, str]] = []
        self.answers: Counter[int] = Counter()
        self.refuses: dict[str, Any] = {}
        """A status and Retry-After that everybody gets while it is set."""
        self.used_elsewhere = 0

    async def answer(self, request: web.Request) -> web.Response:
        """One request, as Binance would."""
        now, name = time.time(), request.path.rpartition("/")[2]
        self.arrivals.append((now, WEIGHTS.get(name, 1), f"{request.method} {name}"))
        turn = now - now % TERMS.window_s
        used = self.used_elsewhere + sum(weight for at, weight, _ in self.arrivals if at >= turn)
        headers = {"X-MBX-USED-WEIGHT-1M": str(used), "X-MBX-ORDER-COUNT-10S": "1"}
        status, body = 200, "[]" if name == "klines" else '{"serverTime":1}'
        if self.refuses:
            status = self.refuses["status"]
            headers["Retry-After"] = str(self.refuses["retry_after"])
        elif used > self.limit:
            status, headers["Retry-After"] = 429, str(int(turn + TERMS.window_s - now) + 1)
        if status != 200:
            body = '{"code":-1003,"msg":"Too much request weight used."}'
        self.answers[status] += 1
        return web.Response(status=status, text=body, headers=headers, content_type="application/json")

    def most_in_a_window(self, name: str = "") -> int:
        """The largest weight that arrived within any window, of requests whose name ends so."""
        seen = [each for each in self.arrivals if each[2].endswith(name)]
        return max(
            (sum(weight for at, weight, _ in seen if end - TERMS.window_s < at <= end) for end, _, _ in seen),
            default=0,
        )

    def count(self, name: str) -> int:
        """Requests with this name."""
        return sum(each[2] == name for each in self.arrivals)


@asynccontextmanager
async def metered(**given: Any) -> AsyncIterator[tuple[MeteredVenue, str]]:
    """The venue and its address."""
    venue = MeteredVenue(**given)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield venue, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def budget_of(nats: NatsStack, service: str, **given: Any) -> AsyncIterator[SharedBudget]:
    """The budget of a service as its shell makes it, kept in step."""
    contract = next(each for each in nats.contracts if each.service == service)
    bus = await Bus.connect(connect_options(nats.home, service, nats.url), TRADING)
    budget = SharedBudget(
        contract.writer, EGRESS, given.pop("home", nats.home), bus, BudgetMetrics(service), structlog.get_logger()
    )
    keeping = asyncio.create_task(budget.keep())
    try:
        yield budget
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await bus.close()


def budget_without_bus(writer: str, home: Path, registry: Any = None) -> SharedBudget:
    """The budget of a process that has never seen a bus."""
    return SharedBudget(writer, EGRESS, home, None, BudgetMetrics(writer, registry), structlog.get_logger())


class Caller:
    """A process that calls the venue as often as it may, and says what came of each call."""

    def __init__(self, process: asyncio.subprocess.Process):
        self.process = process
        self.said: Counter[str] = Counter()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, nats: NatsStack, service: str, url: str, lane: str, home: Path | None = None) -> Caller:
        """Start it."""
        writer = next(each.writer for each in nats.contracts if each.service == service)
        arguments = (str(nats.home), str(home or nats.home), nats.url, service, writer, url, lane)
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, *arguments, stdout=pipe))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said[json.loads(line)["said"]] += 1

    async def more(self, word: str, count: int) -> None:
        """Return once it has said `word` so many times more."""
        until = self.said[word] + count
        async with asyncio.timeout(60):
            while self.said[word] < until:  # noqa: ASYNC110  (its output fills the counter)
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End it, at once."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


async def call_for_ever(keys: Path, home: Path, nats_url: str, service: str, writer: str, url: str, lane: Any) -> None:
    """The life of a caller."""
    use_short_minute()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    bus = await Bus.connect(connect_options(keys, service, nats_url), TRADING)
    budget = SharedBudget(writer, EGRESS, home, bus, BudgetMetrics(service), structlog.get_logger())
    keeping = asyncio.create_task(budget.keep())
    exchange = ccxt.pro.binance(ccxt_config(url, "k" * 64, "s" * 64))
    spend_from(budget, exchange, VENUE, lane=lane, deadline_s=5.0 if lane == "orders" else 30.0)
    while not keeping.done():
        try:
            if lane == "orders":
                await exchange.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 1})
                await asyncio.sleep(0.8)
            else:
                await exchange.public_get_klines({"symbol": "BTCUSDT", "interval": "1m"})
            word = "sent"
        except NotGranted:
            word = "refused"
        except ccxt.BaseError as error:
            word = type(error).__name__
        shared = "shared" if budget.purse(VENUE).is_shared else "alone"
        print(json.dumps({"said": word}), json.dumps({"said": f"{word} {shared}"}), sep="\n", flush=True)


if __name__ == "__main__":
    asyncio.run(call_for_ever(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
