"""What was refused, counted and told: a metric and an event each, and a log line the first time and whenever a count has doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from prometheus_client import CollectorRegistry

from libs.common.messages import Bar, PrintRejected, TradePrinted
from libs.common.metrics import trading as declared
from libs.common.subjects import TOKEN
from libs.common.timeframe import SECOND
from libs.runtime.adapter import AdapterContext
from libs.runtime.made_metrics import counter_of, gauge_of
from services.market_feed.adapters.reader import Link
from services.market_feed.failover import Health
from services.market_feed.frames import PRODUCER
from services.market_feed.sanity import Rejection

NOBODY = "unknown"
"""The instrument of a frame that names none, in a subject."""


class Tally:
    """Counts by reason, and the feed's own prometheus series."""

    def __init__(self, context: AdapterContext):
        self.counts: Counter[str] = Counter()
        self._context = context
        self._odd: Any = None
        self._gauges: dict[str, Any] = {}
        if context.registry is not None:
            self._register(context.registry)

    def _register(self, registry: CollectorRegistry) -> None:
        self._odd = counter_of(declared.FEED_ODD_FRAMES, registry)
        self._gauges = {
            "health": gauge_of(declared.FEED_HEALTH, registry),
            "speaks": gauge_of(declared.FEED_SPEAKS, registry),
            "epoch": gauge_of(declared.FEED_EPOCH, registry),
            "bar_overdue_seconds": gauge_of(declared.BAR_OVERDUE, registry),
        }

    # --- counted ----------------------------------------------------------------------------------------------------

    def odd(self, venue: str, reason: str, instrument: str) -> None:
        """Something is odd about a frame, not enough to refuse it."""
        self.counts[reason] += 1
        if self._odd is not None:
            self._odd.labels(venue=venue, reason=str(reason), instrument=instrument).inc()
        count = self.counts[reason]
        if count & (count - 1) == 0:
            self._context.logger.warning(
                "frame_odd", venue=venue, reason=str(reason), count=count, instrument=instrument
            )

    def epoch(self, venue: str, link: Link) -> None:
        """A socket has a new connection."""
        if self._gauges:
            self._gauges["epoch"].labels(venue=venue, socket=link.name).set(link.epoch)

    def gauges(self, health: Mapping[str, Health], speaking: str, via: str, overdue: Mapping[str, int]) -> None:
        """Show how the venues are, who speaks, and which bars are missing."""
        if not self._gauges:
            return
        for venue, each in health.items():
            self._gauges["health"].labels(venue=venue).set(each.score)
            for way in ("SOCKETS", "POLLING"):
                self._gauges["speaks"].labels(venue=venue, via=way).set(venue == speaking and way == via)
        for timeframe, late_ns in overdue.items():
            self._gauges["bar_overdue_seconds"].labels(timeframe=timeframe).set(late_ns / SECOND)

    # --- told -------------------------------------------------------------------------------------------------------

    def refused_frame(self, venue: str, reason: str, instrument: str, frame: str) -> None:
        """A frame nobody may believe."""
        named = instrument if TOKEN.fullmatch(instrument) else NOBODY
        self.odd(venue, reason, named)
        self._tell(venue, named, "FRAME", reason, frame=frame)

    def rejected_print(self, venue: str, rejection: Rejection) -> None:
        """A print whose price nobody may believe."""
        found, numbers = rejection.print, (rejection.reference_px, rejection.band)
        self.odd(venue, rejection.reason, found.instrument)
        if isinstance(found, TradePrinted):
            traded = (found.px, found.qty)
            self._tell(venue, found.instrument, "TRADE", rejection.reason, found.trade_id, traded, numbers)
        else:
            middle = ((found.bid_px + found.ask_px) / 2, 0.0)
            self._tell(venue, found.instrument, "QUOTE", rejection.reason, "", middle, numbers)

    def rejected_bar(self, bar: Bar, reference_px: float) -> None:
        """A bar by REST nobody may believe."""
        reason = "IMPLAUSIBLE_BAR"
        self.odd(bar.venue, reason, bar.instrument)
        shown = f"{bar.timeframe} {bar.ts_open} open {bar.open} high {bar.high} low {bar.low} close {bar.close}"
        self._tell(
            bar.venue, bar.instrument, "BAR", reason, "", (bar.close, bar.volume), (reference_px, 0.0), frame=shown
        )

    def _tell(
        self,
        venue: str,
        instrument: str,
        kind: Literal["TRADE", "QUOTE", "BAR", "FRAME"],
        reason: str,
        trade_id: str = "",
        traded: tuple[float, float] = (0.0, 0.0),
        numbers: tuple[float, float] = (0.0, 0.0),
        frame: str = "",
    ) -> None:
        now = self._context.clock.now()
        self._context.publish_market(
            PrintRejected(
                id=f"{venue}.{instrument}.r{now}.{self.counts[reason]}",
                ts_event=now,
                ts_init=now,
                producer=PRODUCER,
                venue=venue,
                instrument=instrument,
                kind=kind,
                reason=reason,
                trade_id=trade_id,
                px=traded[0],
                qty=traded[1],
                reference_px=numbers[0],
                band=numbers[1],
                frame=frame,
            )
        )
