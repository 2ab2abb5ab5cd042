"""The feed's machine: it remembers what the feed itself has said (record.py), and wakes people where prices cannot be had or believed.

    FeedStatus          DOWN → page; STALE, another venue than home, polling → ticket; home, by sockets, LIVE again → note
    PriceTrustChanged   UNIT, DISLOCATED → ticket; what settles by itself within seconds is told to nobody
    BarRevised          note

Every price is a source event: there is nothing else to derive.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AlertRaised, BarRevised, FeedStatus, Message, PriceTrustChanged
from libs.runtime.machine import Effect, Publish
from services.market_feed.record import FeedRecord


class MarketFeedMachine:
    """The memory of the feed, and its voice to people."""

    class Settings(msgspec.Struct, frozen=True, kw_only=True):
        """The home venue, where orders go, and whose prices are told.

        `market_url` and `clock_url` decide nothing; they put into the log in which world its prices were said: where they come from (empty: a
        log from before this was told) and by which clock they are dated (empty: wall time).
        """

        venue: str
        instruments: tuple[str, ...]
        market_url: str = ""
        clock_url: str = ""

    State = FeedRecord

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state = FeedRecord()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Remember; answer with an alert where somebody should know."""
        had_trouble = self.state.has_trouble
        self.state.hear(event)
        match event:
            case FeedStatus():
                return self._status(event, had_trouble)
            case PriceTrustChanged(trust="UNIT" | "DISLOCATED"):
                return [_alert(f"PRICE_{event.trust}", "ticket", _doubt_text(event), event.instrument)]
            case BarRevised():
                text = (
                    f"{event.said.venue} tells the {event.said.timeframe} bar of {event.instrument} otherwise than it "
                    f"left: close {event.said.close:g}, now {event.now_said.close:g}; decisions stay with the first"
                )
                return [_alert("BAR_REVISED", "note", text, event.instrument)]
        return []

    def _status(self, status: FeedStatus, had_trouble: bool) -> list[Effect]:
        home = self.settings.venue
        self.state.has_trouble = (status.venue, status.state, status.via) != (home, "LIVE", "SOCKETS")
        if status.state == "DOWN":
            text = f"no prices from {status.venue} ({status.reason}): nothing is bought, stops rest at the venue"
            return [_alert("FEED_DOWN", "page", text)]
        if status.state == "STALE":
            text = f"the prices of {status.venue} are old ({status.reason}): nothing is bought until they move"
            return [_alert("FEED_STALE", "ticket", text)]
        if status.venue != home:
            text = f"{status.venue} stands in for {home} ({status.reason}): positions are watched, none is opened"
            return [_alert("FEED_FAILOVER", "ticket", text)]
        if status.via == "POLLING":
            return [_alert("FEED_POLLING", "ticket", f"no sockets ({status.reason}): the prices of {home} are polled")]
        if had_trouble:
            return [_alert("FEED_RECOVERED", "note", f"{home} is LIVE again, by its sockets ({status.reason})")]
        return []


def _doubt_text(event: PriceTrustChanged) -> str:
    why = {
        "UNIT": "is off by a power of ten",
        "DISLOCATED": "is contradicted by two other venues",
    }[event.trust]
    return (
        f"the price of {event.instrument} at {event.venue} {why}: {event.suspect_px:g} against {event.trusted_px:g}; "
        f"nothing is bought, stops watch {event.protective_px:g}"
    )


def _alert(code: str, severity: str, text: str, instrument: str = "") -> Publish:
    return Publish(AlertRaised(code=code, severity=severity, text=text, instrument=instrument))  # type: ignore[arg-type]
