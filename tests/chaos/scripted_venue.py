"""exchange_sim on a market whose price the test says: quotes every 50 ms in real time, nothing by chance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from libs.common.messages import InstrumentSpec
from services.exchange_sim.generated import GeneratedHistory
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import Event, History, Key, Quote
from services.exchange_sim.server import ExchangeServer
from tests.e2e.venue_stand import VenueStand

SECOND = 1_000_000_000
TICK_NS = 50_000_000
HALF_SPREAD = 0.5
DEEP = 50.0


class Price(msgspec.Struct):
    """What an instrument costs from the next quote on, and how much of it is offered at that price."""

    px: float
    qty: float = DEEP


class ScriptedMarket:
    """A market that quotes what `prices` say at that moment; it has no trades and no past worth asking for."""

    def __init__(self, instruments: tuple[str, ...], starts_at: int):
        listings = {name: listing_of(name) for name in instruments}
        self.prices = {name: Price(listing.base_px) for name, listing in listings.items()}
        self.histories: dict[str, History] = {
            name: GeneratedHistory(1, name, listing) for name, listing in listings.items()
        }
        self.identity = {"market": "scripted", "instruments": ",".join(instruments)}
        self.starts_at = starts_at

    def events(self, after: Key) -> Iterator[Event]:
        """Quotes behind `after`, each priced when it is drawn."""
        number = 0
        while True:
            ts = self.starts_at + number * TICK_NS
            number += 1
            for rank, (name, price) in enumerate(self.prices.items()):
                if (ts, rank) > after:
                    yield Quote(
                        ts=ts,
                        rank=rank,
                        instrument=name,
                        update_id=number,
                        bid_px=price.px - HALF_SPREAD,
                        bid_qty=price.qty,
                        ask_px=price.px + HALF_SPREAD,
                        ask_qty=price.qty,
                    )


class ScriptedVenue(VenueStand):
    """One venue in real time. `ahead_s`: by how much its clock is ahead of ours."""

    def __init__(self, home: Path, instruments: tuple[str, ...], *, ahead_s: float = 0.0, **settings: Any):
        super().__init__(home, sim_mode="free", sim_speed=1.0, **settings)
        self.market = ScriptedMarket(instruments, time.time_ns() + round(ahead_s * SECOND))
        self.server = ExchangeServer(self.settings, self.market)

    @property
    def faults(self) -> Any:
        """Where faults are asked for."""
        return self.server.faults

    @property
    def account(self) -> Any:
        """The venue's own books: `SpotVenue`."""
        return self.server.exchange.venue

    @property
    def accepted(self) -> dict[str, int]:
        """How often each client id was accepted."""
        return self.server.exchange.seen

    def spec(self, instrument: str) -> InstrumentSpec:
        """The rules of an instrument."""
        return self.market.histories[instrument].listing.spec

    def quote(self, instrument: str) -> Quote:
        """What is quoted now."""
        return self.server.exchange.quotes[instrument]

    def total(self, asset: str) -> Decimal:
        """What the account owns of an asset, free and locked."""
        return sum((each.free + each.locked for each in self.account.balances() if each.asset == asset), Decimal(0))
