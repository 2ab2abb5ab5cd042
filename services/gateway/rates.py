"""How often somebody may come: moving windows of a minute, by address before we know who it is, by token after."""

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


class Rates:
    """The budgets of everybody who has come within the last minute."""

    def __init__(self, settings: Settings):
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._items = {
            ADDRESS: RateLimitItemPerMinute(settings.gateway_rate_address),
            TOKEN: RateLimitItemPerMinute(settings.gateway_rate_caller),
            FAILURES: RateLimitItemPerMinute(settings.gateway_rate_failures),
        }

    def spend(self, budget: Budget, who: str) -> int:
        """Take one of `who`'s budget; 0, or, where nothing is left, in how many seconds to come again."""
        item = self._items[budget]
        if self._limiter.hit(item, budget, who):
            return 0
        free_at = self._limiter.get_window_stats(item, budget, who).reset_time
        return max(1, math.ceil(free_at - time.time()))


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
