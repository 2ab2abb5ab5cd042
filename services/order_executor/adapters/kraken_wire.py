"""The wire to Kraken: what grows with every request (the nonce), and who goes first.

Kraken refuses a request whose nonce is not above the last one it saw, and two requests under way at once may overtake each other. All
clients of an adapter therefore share one counter, and questions are not signed while an order is under way: should anything be
refused for that reason, it is a question, which may be asked again. (A nonce window on the key makes the rest of it harmless.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from libs.runtime.adapter import AdapterContext
from libs.runtime.ccxt_budget import listen_for
from services.order_executor.adapters.kraken_classify import outcome_of
from services.order_executor.adapters.wire import Call, Wire

QUIET_S_MAX = 5.0
BUDGET, ORDERS_BUDGET = "kraken-account", "kraken-orders"
"""An account's calls are counted by themselves, its orders likewise; public calls, which the feed makes, are counted by address."""


class Nonces:
    """Numbers that only grow, over restarts, too: microseconds of the wall clock, or one more than the last."""

    def __init__(self, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._now_us = now_us
        self._last = 0

    def next(self) -> int:
        """The next one."""
        self._last = max(self._last + 1, self._now_us())
        return self._last


class Turns:
    """Who may sign now."""

    def __init__(self) -> None:
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def __enter__(self) -> None:
        """An order or a cancel is about to be signed."""
        self._under_way += 1
        self._quiet.clear()

    def __exit__(self, *_: object) -> None:
        """It has been answered, or will not be."""
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()

    async def quiet(self) -> None:
        """Return once no order is under way, or after a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S_MAX):
                await self._quiet.wait()


class KrakenWire(Wire):
    """As `Wire`, for one client of Kraken's; `add_order` and `cancel_order` go before all questions.

    An order is stamped at the last moment with a `deadline`: what reaches Kraken's engine later than `window_ms` after it left is not taken,
    which is what makes an order that cannot be found one that does not exist. `now_ns` is Kraken's time as far as we know.
    """

    def __init__(
        self,
        exchange: Any,
        context: AdapterContext,
        deadline_ms: int,
        *,
        turns: Turns,
        window_ms: int,
        now_ns: Callable[[], int],
        **hooks: Any,
    ) -> None:
        super().__init__(exchange, BUDGET, context, deadline_ms, judge=outcome_of, **hooks)
        self._turns = turns
        self._window_s = window_ms // 1000
        self._now_ns = now_ns
        self.cancel_order: Call = exchange.private_post_cancelorder
        listen_for(context.budget, exchange, ORDERS_BUDGET)

    async def take_order(self) -> None:
        """Wait for room for an order or a cancel, which Kraken does not count among an account's calls.

        Raises:
            NotGranted: there was none in time.
        """
        await self._context.budget.take(ORDERS_BUDGET, 1, "orders", self._deadline_s)

    async def add_order(self, params: dict[str, Any]) -> Any:
        """AddOrder, to be given to `send`."""
        deadline = datetime.fromtimestamp(self._now_ns() // 10**9 + self._window_s, UTC)
        stamped = {**params, "deadline": f"{deadline:%Y-%m-%dT%H:%M:%SZ}"}
        return await self.exchange.private_post_addorder(stamped)

    async def send(self, call: Call, params: dict[str, Any]) -> Any:
        """One request, once; a question waits until no order is under way.

        Raises:
            CallFailed: anything but an answer with status 200 came of it.
        """
        if call in (self.add_order, self.cancel_order):
            with self._turns:
                return await super().send(call, params)
        await self._turns.quiet()
        return await super().send(call, params)
