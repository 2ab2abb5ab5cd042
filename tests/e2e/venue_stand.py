"""exchange_sim in this process, on a free port, in step mode, with unmodified ccxt clients that follow its clock."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import ccxt.pro

from libs.trading.binance_ccxt import ccxt_config, follow_clock
from services.exchange_sim.listing import listing_of
from services.exchange_sim.server import ExchangeServer
from services.exchange_sim.settings import Settings
from services.exchange_sim.wire import exchange_info

SECOND = 1_000_000_000
T = TypeVar("T")


class VenueStand:
    """One venue. Keys are drawn here and live in the home folder only."""

    def __init__(self, home: Path, **settings: Any):
        home.mkdir(parents=True, exist_ok=True)
        self.key, self.secret = secrets.token_hex(32), secrets.token_hex(32)
        self.passphrase = secrets.token_hex(8)
        for name, value in (("key", self.key), ("secret", self.secret), ("passphrase", self.passphrase)):
            (home / name).write_text(value + "\n")
        given = {
            "sim_mode": "step",
            "sim_api_key_file": home / "key",
            "sim_api_secret_file": home / "secret",
            "sim_api_passphrase_file": home / "passphrase",
            **settings,
        }
        self.settings = Settings(home=home, **given)
        self.server = ExchangeServer(self.settings)
        self.clients: list[ccxt.pro.binance] = []

    async def start(self) -> None:
        """Listen."""
        await self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.http = aiohttp.ClientSession(self.url)

    async def stop(self) -> None:
        """Close clients, then the venue."""
        for client in self.clients:
            await client.close()
        await self.http.close()
        await self.server.stop()

    def client(self, *, key: str | None = None, secret: str | None = None, **more: Any) -> ccxt.pro.binance:
        """An unmodified ccxt client."""
        config = ccxt_config(self.url, self.key if key is None else key, self.secret if secret is None else secret)
        made = ccxt.pro.binance({**config, "enableRateLimit": False, **more})
        follow_clock(made, self.server.exchange.clock.now_ns)
        self.clients.append(made)
        return made

    @property
    def now(self) -> int:
        """Venue time."""
        return self.server.exchange.clock.now_ns()

    async def advance(self, seconds: float) -> dict[str, Any]:
        """Let venue time pass; the state after it."""
        return await self.post("/sim/advance", {"to": self.now + int(seconds * SECOND)})

    async def get(self, path: str, **params: Any) -> Any:
        """GET, without a signature."""
        async with self.http.get(path, params=params) as answer:
            return await answer.json()

    async def post(self, path: str, body: Any) -> Any:
        """POST to /sim."""
        async with self.http.post(path, json=body) as answer:
            return await answer.json()

    async def signed(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        """A signed call without ccxt, for what ccxt never sends; `timestamp` may be given."""
        status, body = await self.signed_text(method, path, **params)
        return status, json.loads(body)

    async def signed_text(self, method: str, path: str, **params: Any) -> tuple[int, str]:
        """`signed`, with the answer as it came."""
        params = {"timestamp": self.now // 1_000_000, **params}
        text = urlencode(params)
        text += "&signature=" + hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        async with self.http.request(method, f"{path}?{text}", headers={"X-MBX-APIKEY": self.key}) as answer:
            return answer.status, await answer.text()

    async def when(self, watching: Awaitable[T], seconds: float = 1.0) -> T:
        """The result of a watch, with venue time passing until it comes."""

        task = asyncio.ensure_future(watching)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if task.done():
                return task.result()
            await self.advance(seconds)
        task.cancel()
        raise AssertionError("nothing was heard")


@asynccontextmanager
async def open_venue(home: Path, **settings: Any) -> AsyncIterator[VenueStand]:
    """A started venue, stopped at the end."""
    stand = VenueStand(home, **settings)
    await stand.start()
    try:
        yield stand
    finally:
        await stand.stop()


def market_client(url: str, instruments: tuple[str, ...]) -> ccxt.pro.binance:
    """An unmodified ccxt client that knows the markets, and so asks nothing by REST before it watches them."""
    made = ccxt.pro.binance(ccxt_config(url))
    made.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}  # as load_markets leaves them
    symbols = exchange_info([listing_of(name) for name in instruments], 0, weight_limit=6000)["symbols"]
    made.set_markets([made.parse_market(symbol) for symbol in symbols])
    return made


async def run_venue(home: Path, **more: str) -> tuple[asyncio.subprocess.Process, str]:
    """The venue as its own process; the port it wrote."""
    (home / "exchange_sim" / "port").unlink(missing_ok=True)
    names = {"PATH", "HOME", "PYTHONPATH", "COVERAGE_PROCESS_START"}
    env = {**{k: v for k, v in os.environ.items() if k in names}, "BULKHEAD_HOME": str(home), **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.exchange_sim",
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), 30):
        if b"venue_open" in line:
            return process, (home / "exchange_sim" / "port").read_text().strip()
    return process, ""
