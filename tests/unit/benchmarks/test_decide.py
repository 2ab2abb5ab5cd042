"""The benchmark of a decision measures what it says: everybody is asked, and the floor decides nothing."""

from __future__ import annotations

from benchmarks.decide import BEGIN, SERVICES, Market, marked, warmed
from libs.common.timeframe import STEP


def test_a_batch_goes_through_every_service() -> None:
    """At a full hour every agent has bars of its own; wishes are made, judged by the absent model, and get their verdict."""
    market = Market(6)
    floor = warmed(market, waits=True)
    floor.reset()
    floor.counts.clear()
    for number in range(1, 9):
        end_ts = BEGIN + number * STEP["15m"]
        floor.say(marked(market, end_ts), end_ts)
        floor.say(market.closed(end_ts), end_ts)
        floor.free(end_ts)
    assert [name for name, seat in zip(SERVICES, floor.seats, strict=True) if seat.spent <= 0 or seat.floor <= 0] == []
    counted = floor.counts
    assert (counted["FeedBars"], counted["AgentSignals"], counted["LevelsMapped"]) == (8, 8, 2)
    assert counted["OrderIntent"] == counted.get("OrderApproved", 0) + counted.get("OrderDenied", 0) > 0
    assert counted["EntryJudged"] == counted["ModelAnswered"] >= counted["OrderIntent"]
