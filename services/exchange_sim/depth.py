"""The order book that REST and the depth stream share, with one update id.

In a generated market only the best quote exists; the book around it is a rule (`drawn_around`), and each new quote replaces it by a
difference. In a recorded market the recorded differences are the book. When a recording ends, the first difference removes what is left of it.
"""

from __future__ import annotations

import msgspec

from libs.common.instruments import symbol_of
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import DepthFrame, Quote
from services.exchange_sim.wire import Json, amount, millis

LEVELS_DRAWN = 20


class _RecordedDepth(msgspec.Struct):
    """The fields of a depth frame or of a REST snapshot."""

    U: int = 0
    u: int = 0
    b: list[tuple[str, str]] = []
    a: list[tuple[str, str]] = []
    last_update_id: int = msgspec.field(default=0, name="lastUpdateId")
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class DepthBook:
    """Both sides of one instrument's book, price to quantity, as Binance's strings."""

    def __init__(self, instrument: str, listing: Listing):
        self.instrument = instrument
        self.listing = listing
        self.last_update_id = 0
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def apply(self, frame: DepthFrame) -> None:
        """Take over a recorded difference or snapshot; an older snapshot than the book is ignored."""
        depth = msgspec.json.decode(frame.raw, type=_RecordedDepth)
        if frame.is_snapshot:
            if depth.last_update_id >= self.last_update_id:
                self.last_update_id = depth.last_update_id
                self.bids, self.asks = dict(depth.bids), dict(depth.asks)
            return
        self.last_update_id = depth.u
        for side, changes in ((self.bids, depth.b), (self.asks, depth.a)):
            for px, qty in changes:
                if float(qty):
                    side[px] = qty
                else:
                    side.pop(px, None)

    def follow(self, quote: Quote, now: int) -> Json | None:
        """Become the book drawn around `quote`; the `@depth` frame that says so, or None when it already was."""
        if quote.update_id <= self.last_update_id:
            return None
        bids, asks = drawn_around(quote, self.listing)
        frame = {
            "e": "depthUpdate",
            "E": millis(now),
            "s": symbol_of(self.instrument),
            "U": self.last_update_id + 1 if self.last_update_id else quote.update_id,
            "u": quote.update_id,
            "b": _difference(self.bids, bids),
            "a": _difference(self.asks, asks),
        }
        self.bids, self.asks, self.last_update_id = bids, asks, quote.update_id
        return frame

    def shown(self, limit: int) -> Json:
        """GET depth."""
        return {
            "lastUpdateId": self.last_update_id,
            "bids": [list(level) for level in sorted(self.bids.items(), key=lambda level: -float(level[0]))[:limit]],
            "asks": [list(level) for level in sorted(self.asks.items(), key=lambda level: float(level[0]))[:limit]],
        }


def drawn_around(quote: Quote, listing: Listing) -> tuple[dict[str, str], dict[str, str]]:
    """A plausible book: every level one spread further out, and deeper, than the one before."""
    per_unit = listing.ticks_per_unit
    bid, ask = round(quote.bid_px * per_unit), round(quote.ask_px * per_unit)
    spread = max(1, ask - bid)
    bids, asks = {}, {}
    for level in range(LEVELS_DRAWN):
        deeper = 1.0 + 0.5 * level
        if bid > level * spread:
            bids[amount((bid - level * spread) / per_unit)] = amount(round(quote.bid_qty * deeper, 8))
        asks[amount((ask + level * spread) / per_unit)] = amount(round(quote.ask_qty * deeper, 8))
    return bids, asks


def _difference(before: dict[str, str], after: dict[str, str]) -> list[list[str]]:
    gone = [[px, amount(None)] for px in before if px not in after]
    return gone + [[px, qty] for px, qty in after.items() if before.get(px) != qty]
