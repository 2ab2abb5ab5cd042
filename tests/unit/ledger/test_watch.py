"""The regression watch in the ledger: declared, replaced and ended; heard by whom it concerns; silent otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
import pytest

from libs.common.messages import AlertRaised, Baseline, BaselineDeclared, EventRejected, Message, Metric
from libs.trading.baseline import distribution
from libs.trading.drift import LOOK_EVERY
from tests.unit.ledger.conversation import Conversation, trade
from tests.unit.trading.test_baseline import approved, report, stop

D = Decimal
USUAL = {
    "slippage": [float(each % 9) for each in range(90)],
    "stop_slippage": [float(each % 9) for each in range(90)],
    "latency": [80.0 + each % 40 for each in range(120)],
    "return": [float(each * 77 % 200 - 80) for each in range(200)],
    "hit_rate": [1.0, 1.0, 0.0] * 60,
}


def declared(*metrics: Metric, source: str = "paper, November") -> BaselineDeclared:
    told = tuple(distribution(each, USUAL[each]) for each in metrics)
    return BaselineDeclared(baseline=Baseline(source=source, from_ts=0, until_ts=1, metrics=told), author="eva")


def watched(*metrics: Metric) -> Conversation:
    talk = Conversation().opened()
    assert talk.tell(declared(*metrics)) == []
    return talk


def orders(talk: Conversation, avg_px: str, *, latency_s: float = 0.1, count: int = LOOK_EVERY) -> list[AlertRaised]:
    """So many entries, wished at 100 and filled at this price so long after their approval."""
    said: list[Message] = []
    for _ in range(count):
        intent = f"i{talk.seq}"
        said += talk.tell(approved(intent))
        said += talk.tell(report(intent, "NEW", "NEW"), after_s=latency_s)
        said += talk.tell(report(intent, "EXPIRED", "EXPIRED", avg_px))
    return alerts(said)


def round_trips(talk: Conversation, sold_at: Iterable[str]) -> list[AlertRaised]:
    """Round trips of one unit, bought at 100."""
    said: list[Message] = []
    for px in sold_at:
        said += talk.tell(trade(f"b{talk.seq}", "BUY", "1", "100"))
        said += talk.tell(trade(f"s{talk.seq}", "SELL", "1", px))
    return alerts(said)


def alerts(said: list[Message]) -> list[AlertRaised]:
    return [each for each in said if isinstance(each, AlertRaised)]


def told(found: list[AlertRaised]) -> list[tuple[str, str]]:
    return [(each.code, each.severity) for each in found]


def test_orders_that_cost_more_than_they_did_wake_somebody_once() -> None:
    """Thirty basis points where nine were the most: a page with the figures, and no second one while it stays so."""
    talk = watched("slippage")
    found = orders(talk, "100.30")
    assert told(found) == [("DRIFT_SLIPPAGE", "page")]
    assert "median 30.0 bp in the last 40, 4.0 bp in the baseline's 90" in found[0].text
    assert orders(talk, "100.30") == []


def test_an_episode_that_is_over_is_told_and_the_next_one_wakes_again() -> None:
    """The window must be as the baseline again, which takes a few looks."""
    talk = watched("slippage")
    orders(talk, "100.30")
    assert told(orders(talk, "100.04", count=200)) == [("DRIFT_SLIPPAGE_OVER", "note")]
    assert told(orders(talk, "100.30", count=120)) == [("DRIFT_SLIPPAGE", "page")]


def test_what_is_better_is_a_note() -> None:
    """Nobody is woken because things go well."""
    assert told(orders(watched("slippage"), "99.90")) == [("DRIFT_SLIPPAGE_BETTER", "note")]


def test_a_slower_venue_waits_for_daytime() -> None:
    """From 100 to 300 milliseconds between approval and the venue's word."""
    found = orders(watched("latency"), "100.00", latency_s=0.3)
    assert told(found) == [("DRIFT_LATENCY", "ticket")]
    assert "median 300 ms in the last 40, 100 ms in the baseline's 120" in found[0].text


def test_stops_that_slip_wait_for_daytime() -> None:
    """Against their own triggers."""
    talk, said = watched("stop_slippage"), list[Message]()
    for number in range(LOOK_EVERY):
        said += talk.tell(stop(f"s{number}", "100"))
        filled = report("i", "EXPIRED", "EXPIRED", "99.50", cl_ord_id=f"s{number}", role="STOP", side="SELL")
        said += talk.tell(filled)
    assert told(alerts(said)) == [("DRIFT_STOP_SLIPPAGE", "ticket")]


def test_round_trips_come_from_the_books() -> None:
    """As the ledger's own positions say: lower returns and fewer wins, each with its alert."""
    found = round_trips(watched("return", "hit_rate"), ["99"] * LOOK_EVERY)
    assert told(found) == [("DRIFT_RETURN", "ticket"), ("DRIFT_HIT_RATE", "ticket")]
    assert "0.0 % in the last 40, 66.7 % in the baseline's 180" in found[1].text


def test_a_round_trip_under_way_when_the_baseline_came_is_none() -> None:
    """Its beginning was not measured."""
    talk = Conversation().opened()
    talk.tell(trade("b", "BUY", "1", "100"))
    talk.tell(declared("return"))
    talk.tell(trade("s", "SELL", "1", "50"))
    assert talk.books.watch.metrics["return"].seen == 0
    round_trips(talk, ["101"])
    assert talk.books.watch.metrics["return"].window == [100.0]


def test_without_a_baseline_nothing_is_remembered_and_nothing_said() -> None:
    """The ledger hears approvals and submissions, and lets them go."""
    talk = Conversation().opened()
    before = msgspec.json.encode(talk.books)
    assert orders(talk, "200.00") == []
    assert talk.books.watch is None
    assert msgspec.json.encode(talk.books) == before


def test_the_same_baseline_again_changes_nothing_and_another_begins_anew() -> None:
    """A live start declares it every time; the samples of a former baseline say nothing about the next."""
    talk = watched("slippage")
    orders(talk, "100.04", count=3)
    talk.tell(declared("slippage"))
    assert talk.books.watch.metrics["slippage"].seen == 3
    talk.tell(declared("slippage", source="paper, December"))
    assert (talk.books.watch.source, talk.books.watch.metrics["slippage"].seen) == ("paper, December", 0)


def test_a_baseline_without_metrics_ends_the_watch() -> None:
    """From then on nobody is told anything."""
    talk = watched("slippage")
    talk.tell(declared())
    assert orders(talk, "100.30") == []


@pytest.mark.parametrize("quantiles", [(), (2.0, 1.0), tuple(float(-each) for each in range(21))])
def test_a_baseline_that_is_none_is_refused_and_the_old_one_stays(quantiles: tuple[float, ...]) -> None:
    """Whoever sent it is told why."""
    talk, said = watched("slippage"), declared("slippage")
    flawed = msgspec.structs.replace(said.baseline.metrics[0], quantiles=quantiles)
    wrong = msgspec.structs.replace(said, baseline=msgspec.structs.replace(said.baseline, metrics=(flawed,)))
    refused = talk.tell(wrong)
    assert isinstance(refused[0], EventRejected)
    assert refused[0].reason == "BASELINE_UNUSABLE"
    assert told(orders(talk, "100.30")) == [("DRIFT_SLIPPAGE", "page")]
