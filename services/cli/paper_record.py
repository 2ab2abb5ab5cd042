"""The track record of the book in a log, as a backtest's is kept: by the same scribe, from the same events."""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import FeedStatus
from libs.research.scribe import Scribe
from libs.runtime.adapter import LogEntry
from libs.trading.daily_equity import daily_equity
from libs.trading.round_trips import round_trips
from libs.trading.track_record import TrackRecord, Trials, book_record


def paper_record(entries: Iterable[LogEntry]) -> TrackRecord | None:
    """What may be said of the book, from its first equity to the end of the log; None while there is no equity."""
    scribe, steps, now = Scribe(), {}, 0
    for entry in entries:
        try:
            message = decode_from(entry.subject, entry.payload)
        except BadEvent:
            continue
        if isinstance(message, FeedStatus):
            steps.update({spec.instrument: spec.qty_step for spec in message.specs})
        now = max(now, message.ts_init)
        scribe(entry.seq, message)
    if not scribe.observed:
        return None
    daily = daily_equity(scribe.observed, now=max(now, scribe.observed[-1].ts))
    return book_record(daily, round_trips(scribe.fills, steps), trials=Trials())
