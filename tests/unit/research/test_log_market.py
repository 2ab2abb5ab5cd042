"""What of a log is played again: the market, and what people said; not that somebody opened a door."""

from __future__ import annotations

from libs.common.codec import encode
from libs.common.messages import FeedMarks, Message, OperatorCommanded, ServiceStarted
from libs.common.subjects import subject_of
from libs.research.log_market import Recorded
from libs.runtime.adapter import LogEntry


def test_a_door_that_opens_is_neither_market_nor_word() -> None:
    """A log from before there were doors, and one with them, are played the same."""
    common = {"ts_event": 1, "ts_init": 1}
    marks = FeedMarks(venue="binance", as_of=1, marks=(), alive=(), producer="feed", **common)
    halt = OperatorCommanded(command="HALT", reason="x", author="ada", producer="ops.gateway", **common)
    opened = ServiceStarted(
        instance="i", code_version="c", settings={}, state_digest="", producer="ops.gateway", **common
    )
    log: list[Message] = [opened, marks, halt]
    entries = [LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(log, 1)]
    assert Recorded(entries).told == [marks, halt]
