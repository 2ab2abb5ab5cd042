"""The feed's machine decides nothing: it hears what the feed itself has said and remembers where to go on (record.py)."""

from __future__ import annotations

import msgspec

from libs.common.messages import Message
from libs.runtime.machine import Effect
from services.market_feed.record import FeedRecord


class MarketFeedMachine:
    """The memory of the feed. Every price is a source event, so there is nothing to derive."""

    class Settings(msgspec.Struct, frozen=True, kw_only=True):
        """Whose prices of which instruments the feed tells."""

        venue: str
        instruments: tuple[str, ...]

    State = FeedRecord

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = FeedRecord()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Remember; never answer."""
        self.state.hear(event)
        return []
