"""The executor's world where nothing leaves the process: a venue that answers every question at once and loses nothing."""

from __future__ import annotations

import msgspec

from libs.common.messages import Answer
from libs.runtime.backtest import Emit, World
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.trading.venue import SpotVenue, VenueRejected
from services.order_executor.venue_desk import act, answered, confirmed, is_action, told


class PaperDesk:
    """One account at a `SpotVenue` (a `BarVenue` is one)."""

    def __init__(self, venue: SpotVenue):
        self.venue = venue

    def perform(self, asked: Asked, now: int, emit: Emit) -> Answer:
        """Do what is asked; what it did to the account beyond the answer itself is told as a user stream would."""
        request = asked.request
        answer = self._act(asked.request_id, request, now, emit) if is_action(request) else None
        answer = answer or told(self.venue, asked.request_id, request)
        return msgspec.structs.replace(answer, ts_event=now, ts_init=now)

    def _act(self, request_id: str, request: Request, now: int, emit: Emit) -> Answer:
        try:
            updates, refused = act(self.venue, request, now)  # type: ignore[arg-type]
        except VenueRejected as rejected:
            return answered(request_id, request, "REJECTED", code=str(rejected.code), detail=rejected.message)  # type: ignore[arg-type]
        for update in updates:
            emit(update.reported(now))
        return confirmed(self.venue, request_id, request, updates, refused)  # type: ignore[arg-type]


def world(venue: SpotVenue) -> World:
    """Whom the executor asks in a backtest."""
    return PaperDesk(venue)
