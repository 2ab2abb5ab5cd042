"""One look at the venue, before there is a log: what it says of key, clock, fees and instruments (`bulkhead doctor`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import structlog

from libs.common.messages import Message, VenueChecked
from libs.runtime.adapter import AdapterContext, Clock, LogEntry
from services.order_executor.adapters.venues import venue_of
from services.order_executor.settings import Settings


async def probe(settings: Settings, clock: Clock) -> VenueChecked:
    """What the venue that `settings` name says; nothing is ordered, no stream is opened, nothing is kept.

    The weight of its few questions is not taken from the shared budget, which lives on the bus: there may be none yet.
    """
    return await venue_of(settings).check_once(_context(clock))


def _context(clock: Clock) -> AdapterContext:
    def unheard(message: Message) -> None:
        """Nobody listens."""

    async def no_lease() -> bool:
        return False

    async def no_log(durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
        for entry in ():
            yield entry

    def no_state() -> Any:
        return None

    return AdapterContext(
        emit=unheard,
        publish_market=unheard,
        clock=clock,
        state=no_state,
        logger=structlog.get_logger(__name__),
        holds_lease=no_lease,
        read_log=no_log,
    )
