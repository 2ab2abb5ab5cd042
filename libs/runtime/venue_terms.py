"""What each venue allows one IP address, as data: weight in a window, and new orders of one account in another.

Binance counts request weight in minutes, Kraken a counter that decays, KuCoin a pool that is refilled. All three are held here as
"so much in any window of this length", which is never more than the venue allows: a counter of at most `limit` that decays by
`limit` in `window_s` cannot overflow if no window holds more than `limit`. The numbers are in the venue's own unit; `cost_weight`
translates what ccxt calls cost.
"""

from __future__ import annotations

import math

import msgspec

SECOND_NS = 1_000_000_000
SLOTS = 12
"""A window is counted in so many parts; what was taken counts until its whole part has left the window."""
SLACK_NS = 2 * SECOND_NS
"""Taken weight counts for so much longer: requests travel, and hosts' clocks differ a little."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """One venue's limits. `reserve` is the part of `limit` that only orders may use."""

    limit: int
    window_s: int
    reserve: int
    chunk: int
    """Data takes so much from the shared budget at once, and spends it without asking again."""
    order_chunk: int = 1
    cost_weight: int = 1
    used_header: str = ""
    orders_max: int = 0
    """New orders of the account in `orders_window_s`; 0: not limited."""
    orders_window_s: int = 10
    orders_header: str = ""
    alone_share: int = 4
    """The part (one in so many) of the data's limit that this host may use alone."""

    @property
    def window_ns(self) -> int:
        """The window, in ns."""
        return self.window_s * SECOND_NS

    @property
    def slot_ns(self) -> int:
        """A part of the window, in ns."""
        return self.window_ns // SLOTS

    @property
    def data_limit(self) -> int:
        """What data may use, of all processes together."""
        return self.limit - self.reserve

    @property
    def alone_limit(self) -> int:
        """What data of this host may use while the other hosts cannot be asked."""
        return max(self.data_limit // self.alone_share, 1)

    def weight_of(self, cost: float | None) -> int:
        """The weight of what ccxt says costs `cost`."""
        return max(1, math.ceil(round((1 if cost is None else cost) * self.cost_weight, 6)))


BINANCE = Terms(
    limit=6000,
    window_s=60,
    reserve=1000,
    chunk=50,
    order_chunk=20,
    cost_weight=5,
    used_header="x-mbx-used-weight-1m",
    orders_max=100,
    orders_header="x-mbx-order-count-10s",
)
KRAKEN = Terms(limit=10, window_s=10, reserve=2, chunk=1)
KRAKEN_ACCOUNT = Terms(limit=20, window_s=40, reserve=5, chunk=1, alone_share=1)
"""The counter of one account's private calls: of a verified account 20, less a half each second. Only the executor has the key."""
KRAKEN_ORDERS = Terms(limit=60, window_s=60, reserve=59, chunk=1)
"""Orders and cancels are not among those calls. They are counted by pair: a new order is 1, one that is taken back within five seconds up to
8 more, and an unverified account has 60, less one each second."""
KUCOIN = Terms(limit=4000, window_s=30, reserve=500, chunk=50, order_chunk=10)
UNKNOWN = Terms(limit=600, window_s=60, reserve=100, chunk=10, order_chunk=5)
"""A venue nobody has read the rules of."""

_TERMS = {
    "binance": BINANCE,
    "kraken": KRAKEN,
    "kraken-account": KRAKEN_ACCOUNT,
    "kraken-orders": KRAKEN_ORDERS,
    "kucoin": KUCOIN,
}


def terms_of(venue: str) -> Terms:
    """The limits of a venue by its name."""
    return _TERMS.get(venue, UNKNOWN)
