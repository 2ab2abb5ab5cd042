"""The wire to a venue, whichever it is: one request within our own deadline, what it may cost, and what was heard of it.

Two hooks of ccxt tell for every request whether it left and what came back, which is what an outcome is judged by (`judge`).
Every request first takes its weight from the venue's budget: what concerns an order in the orders lane, readings as data.
One that gets none in time has provably never left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from libs.runtime.adapter import AdapterContext, NotGranted
from libs.runtime.ccxt_budget import listen_for
from libs.runtime.weight_breaker import Lane
from services.order_executor.adapters.classify import Heard, Outcome, outcome_of

_heard: ContextVar[Heard] = ContextVar("heard")
Call = Callable[[dict[str, Any]], Awaitable[Any]]
Judge = Callable[[Heard, BaseException | None], Outcome]


async def at_once() -> None:
    """Nothing to wait for."""


class CallFailed(Exception):
    """A call did not end in a good answer: what it heard, and what that proves."""

    def __init__(self, heard: Heard, outcome: Outcome):
        super().__init__("call failed")
        self.heard = heard
        self.outcome = outcome

    @property
    def text(self) -> str:
        """Code and words."""
        return f"{self.outcome.code}: {self.outcome.detail}"


class Wire:
    """Requests of one ccxt `exchange` to `venue`; the context's budget says when, `judge` what a failure proves.

    `ready` is awaited before a request is prepared, `heed` is told what each failure proves.
    """

    def __init__(
        self,
        exchange: Any,
        venue: str,
        context: AdapterContext,
        deadline_ms: int,
        *,
        judge: Judge = outcome_of,
        ready: Callable[[], Awaitable[None]] = at_once,
        heed: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.exchange = exchange
        self.ready = ready
        self._heed = heed
        self._venue = venue
        self._context = context
        self._deadline_s = deadline_ms / 1000
        self._judge = judge
        _listen_in(exchange)
        listen_for(context.budget, exchange, venue)

    async def take(self, weight: int, lane: Lane, orders: int = 0) -> None:
        """Wait for room for a request of this weight that places so many orders.

        Raises:
            NotGranted: there was none in time.
        """
        await self._context.budget.take(self._venue, weight, lane, self._deadline_s, orders=orders)

    async def ask(self, call: Call, params: dict[str, Any], weight: int, lane: Lane = "data") -> Any:
        """`send` for questions, which stay unasked while the venue has told us to be quiet, or there is no room for them.

        Raises:
            CallFailed
        """
        await self.ready()
        try:
            await self.take(weight, lane)
        except NotGranted as error:
            raise self._failed(Heard(), error) from None
        return await self.send(call, params)

    async def send(self, call: Call, params: dict[str, Any]) -> Any:
        """One request, once, now.

        Raises:
            CallFailed: anything but an answer with status 200 came of it.
        """
        heard = Heard()
        token = _heard.set(heard)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await call(params)
        except Exception as error:  # noqa: BLE001  ccxt raises whatever Python raises on nonsense; the wire decides what it proves
            raise self._failed(heard, error) from None
        finally:
            _heard.reset(token)

    def _failed(self, heard: Heard, error: BaseException) -> CallFailed:
        outcome = self._judge(heard, error)
        self._heed(outcome)
        return CallFailed(heard, outcome)

    async def close(self) -> None:
        """Disconnect."""
        await self.exchange.close()


def _listen_in(exchange: Any) -> None:
    """Let every request of `exchange` note in its `Heard` that it left, and what came back."""
    send, take = exchange.fetch, exchange.on_rest_response

    async def fetch(*args: Any, **kwargs: Any) -> Any:
        _heard.get().sent = True
        return await send(*args, **kwargs)

    def on_rest_response(code: int, reason: str, url: str, method: str, headers: Any, body: str, *more: Any) -> Any:
        heard = _heard.get()
        heard.status, heard.body = code, body
        return take(code, reason, url, method, headers, body, *more)

    exchange.fetch, exchange.on_rest_response = fetch, on_rest_response
