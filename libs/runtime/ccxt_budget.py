"""Puts a ccxt exchange under a venue's budget, by attributes of the one instance (ccxt 4.5): no subclass, no patched module.

* `throttle`: awaited by ccxt before each REST request while `enableRateLimit` is on, with what it says the request costs; ours
  replaces its own queue. What it raises, the call raises, and nothing has been sent.
* `on_rest_response`: called with status and headers of each answer, before errors are made of it. ccxt also keeps
  `last_response_headers`, but only the last, of whichever call came last.

Sockets are not metered: ccxt's socket clients have throttles of their own.
"""

from __future__ import annotations

from typing import Any

from libs.runtime.adapter import VenueBudget
from libs.runtime.venue_terms import terms_of
from libs.runtime.weight_breaker import Lane


def listen_for(budget: VenueBudget, exchange: Any, venue: str) -> None:
    """Tell the budget of every answer that `exchange` gets."""
    take = exchange.on_rest_response

    def on_rest_response(code: int, reason: str, url: str, method: str, headers: Any, body: str, *more: Any) -> Any:
        budget.told(venue, code, headers)
        return take(code, reason, url, method, headers, body, *more)

    exchange.on_rest_response = on_rest_response


def spend_from(
    budget: VenueBudget, exchange: Any, venue: str, *, lane: Lane = "data", deadline_s: float = 60.0
) -> None:
    """Let every REST request of `exchange` wait for its share, and tell the budget of every answer.

    A request that gets none within `deadline_s` raises `NotGranted` (a TimeoutError) from the ccxt call.
    """
    terms = terms_of(venue)

    async def throttle(cost: float | None = None) -> None:
        await budget.take(venue, terms.weight_of(cost), lane, deadline_s)

    exchange.throttle, exchange.enableRateLimit = throttle, True
    listen_for(budget, exchange, venue)
