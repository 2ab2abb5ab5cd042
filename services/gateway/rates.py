"""How often somebody may come: moving windows of a minute, by address before we know who it is, by token after.

The table is bounded. `limits` keeps a line for everybody who ever came and walks through all of them a hundred times a second, so the quiet are
forgotten here; while more addresses come than are remembered, the new ones share one budget.
"""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.gateway.settings import Settings

Budget = str
ADDRESS, TOKEN, FAILURES = "address", "token", "failures"
KNOWN_MAX = 20_000
FORGET_EVERY_S = 10.0
OTHERS = "others"


class Rates:
    """The budgets of everybody who has come within the last minute."""

    def __init__(self, settings: Settings):
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._forgot_at = time.monotonic()
        self._items = {
            ADDRESS: RateLimitItemPerMinute(settings.gateway_rate_address),
            TOKEN: RateLimitItemPerMinute(settings.gateway_rate_caller),
            FAILURES: RateLimitItemPerMinute(settings.gateway_rate_failures),
        }

    def spend(self, budget: Budget, who: str) -> int:
        """Take one of `who`'s budget; 0, or, where nothing is left, in how many seconds to come again."""
        item, who = self._items[budget], self._budget_of(budget, who)
        if self._limiter.hit(item, budget, who):
            return 0
        free_at = self._limiter.get_window_stats(item, budget, who).reset_time
        return max(1, math.ceil(free_at - time.time()))

    @property
    def known(self) -> int:
        """How many budgets are remembered."""
        return len(self._storage.events)

    def _budget_of(self, budget: Budget, who: str) -> str:
        """Whose budget `who` spends: his own, or where too many have come, that of all who are new."""
        events = self._storage.events
        if time.monotonic() - self._forgot_at >= FORGET_EVERY_S:
            self._forgot_at = time.monotonic()
            for key in [key for key, entries in events.items() if not entries]:
                events.pop(key, None)
        is_new = budget != TOKEN and self._items[budget].key_for(budget, who) not in events
        return OTHERS if is_new and len(events) >= KNOWN_MAX else who


def network_of(address: str) -> str:
    """What shares one budget: an IPv4 address, or the /64 that an IPv6 one can choose from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)
