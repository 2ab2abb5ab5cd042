"""The arithmetic of `make load`: what it makes of a log and of counts, not how much anything bears."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.load.breaking import Found, Signs, breaking_point, faults_of
from benchmarks.load.event_path import (
    ANSWERED,
    BARS,
    BOOKED,
    INTENT,
    MARKS,
    OBEYED,
    VERDICT,
    WHOLE,
    WRITTEN,
    EventPath,
    Staleness,
    VenueTime,
)
from benchmarks.load.processes import Cost, Counted, name_of, others_cores, restarts
from benchmarks.load.symbols import KNOWN, SYMBOLS_MAX, instruments_of
from benchmarks.load.told import Row
from benchmarks.load.wire import framed
from benchmarks.stamps import nanoseconds
from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    JournalPosted,
    Mark,
    Message,
    OperatorCommanded,
    OrderAnswered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
)
from services.exchange_sim.settings import Settings as SimSettings

MS = 1_000_000
S = 1_000 * MS
BTC, ETH = "BTC-USDT", "ETH-USDT"
WALL = VenueTime(venue_ns=1_000 * S, wall_ns=50 * S, speed=10.0)
"""At 50 s of ours the venue's clock says 1,000 s, and goes ten times as fast."""


def meta(name: str, cause: str = "", story: str = "", producer: str = "feed") -> dict[str, Any]:
    """The part of a message that all have."""
    return {
        "id": name,
        "ts_event": 0,
        "ts_init": 0,
        "correlation_id": story or name,
        "causation_id": cause,
        "producer": producer,
    }


def marks(venue_s: float, told: dict[str, float], alive: tuple[str, ...] = ()) -> FeedMarks:
    """Prices as of an instant of the venue, each with the instant of its frame."""
    as_of = round(venue_s * S)
    found = [
        Mark(instrument=name, bid_px=1.0, ask_px=1.0, last_px=1.0, protective_px=1.0, trust="TRUSTED", ts=round(ts * S))
        for name, ts in told.items()
    ]
    return FeedMarks(venue="binance", as_of=as_of, marks=tuple(found), alive=alive, **meta("marks"))


def intent(name: str, story: str) -> OrderIntent:
    """A wish of the portfolio's."""
    return OrderIntent(
        intent_id=name,
        instrument=BTC,
        side="BUY",
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=Decimal(1),
        limit_px=None,
        ref_px=Decimal(1),
        stop_px=None,
        target_px=None,
        reduce_only=False,
        valid_until=0,
        reason="",
        **meta(f"of {name}", "signals", story, "portfolio"),
    )


def path(*instruments: str) -> EventPath:
    """A fold whose limit on ages is two seconds of ours."""
    return EventPath(WALL, Staleness(instruments, 2 * S))


def told(fold: EventPath, *said: tuple[float, Message]) -> dict[str, list[float]]:
    """The samples (ms) of messages stored at these seconds, by name."""
    found: dict[str, list[float]] = {}
    for at, message in said:
        for _, name, ms in fold.take(round(at * S), message):
            found.setdefault(name, []).append(round(ms, 6))
    return found


def test_a_price_is_as_late_as_its_frame_was_early() -> None:
    """A frame of 1,001 s at a venue ten times as fast came at 50.1 s of ours: told at 50.15 s it is 50 ms old."""
    assert told(path(BTC), (50.15, marks(1_001.2, {BTC: 1_001.0}))) == {MARKS[1]: [50.0]}
    assert WALL.venue(WALL.wall(1_234 * S)) == 1_234 * S


def test_a_decision_is_followed_from_its_bars_to_its_verdict() -> None:
    """Opinions are found by their cause, verdicts by their intent and their story; refusals are counted by reason."""
    fold = path(BTC)
    bars = FeedBars(end_ts=1_060 * S, bars=(), **meta("bars"))
    opinion = AgentSignals(agent_id="trend", end_ts=bars.end_ts, signals=(), **meta("s", "bars", "bars", "agent.trend"))
    verdict = OrderDenied(
        intent_id="i1",
        instrument=BTC,
        side="BUY",
        order_qty=Decimal(1),
        reasons=("PRICE_AGE",),
        checks=(),
        **meta("v", "of i1", "bars", "risk"),
    )
    found = told(fold, (56.04, bars), (56.05, opinion), (56.07, intent("i1", "bars")), (56.08, verdict))
    assert found == {
        BARS[1]: [40.0],
        "bars in the log -> trend has answered": [10.0],
        INTENT[1]: [30.0],
        VERDICT[1]: [10.0],
        WHOLE[1]: [40.0],
    }
    assert fold.denied == {"PRICE_AGE": 1}


def test_a_wish_without_bars_behind_it_is_no_decision_about_bars() -> None:
    """Exits that a timer asked for have no bar to be measured from."""
    assert told(path(BTC), (56.0, intent("i2", "a timer"))) == {}


def test_a_command_ends_with_the_gates_answer_only() -> None:
    """What the notifier says of a command is not its effect."""
    said = OperatorCommanded(command="RESUME", reason="r", author="a", **meta("c", producer="ops.cli"))
    alert = {"severity": "INFO", "code": "NOTHING_TO_RESUME", "text": "trading is ACTIVE"}
    letter = AlertRaised(**alert, **meta("n", "c", "c", "notify"))
    answer = AlertRaised(**alert, **meta("a", "c", "c", "risk"))
    assert told(path(BTC), (51.0, said), (51.5, letter), (51.75, answer), (52.0, answer)) == {OBEYED[1]: [750.0]}


def order() -> dict[str, Any]:
    """What every message about one order says."""
    return {"intent_id": "i1", "instrument": BTC, "side": "BUY", "order_qty": Decimal(1)}


def test_an_order_is_followed_from_its_approval_to_the_books() -> None:
    """Approval and submission share the intent, submission and answer the client id, a fill is what its posting was caused by."""
    wish = {"ord_type": "MARKET", "time_in_force": "IOC", "limit_px": None, "stop_px": None, "reduce_only": False}
    approved = OrderApproved(
        **order(),
        **wish,
        ref_px=Decimal(1),
        target_px=None,
        valid_until=0,
        checks=(),
        **meta("a", "of i1", "b", "risk"),
    )
    written = OrderSubmitting(
        **order(), **wish, cl_ord_id="c1", role="ENTRY", valid_until=0, **meta("w", "a", "b", "exec")
    )
    answered = OrderAnswered(
        request_id="r",
        instrument=BTC,
        cl_ord_id="c1",
        outcome="CONFIRMED",
        order=None,
        fills=(),
        code="",
        detail="",
        **meta("o", "w", "b", "exec"),
    )
    fill = ExecutionReport(
        **order(),
        cl_ord_id="c1",
        venue_order_id="v",
        exec_id="e",
        role="ENTRY",
        exec_type="TRADE",
        ord_status="FILLED",
        cum_qty=Decimal(1),
        leaves_qty=Decimal(0),
        avg_px=None,
        last_qty=Decimal(1),
        last_px=Decimal(1),
        commission=None,
        commission_asset="",
        liquidity_side="TAKER",
        reason="",
        **meta("f", "o", "b", "exec"),
    )
    posted = JournalPosted(
        entry_id="j",
        kind="FILL",
        source_id="e",
        instrument=BTC,
        postings=(),
        memo="",
        number=1,
        previous="",
        digest="",
        **meta("p", "f", "b", "ledger"),
    )
    said = (approved, written, answered, fill, posted)
    found = told(path(BTC), (60.0, intent("i1", "b")), *zip((60.01, 60.03, 60.06, 60.07, 60.12), said, strict=True))
    assert found == {VERDICT[1]: [10.0], WRITTEN[1]: [20.0], ANSWERED[1]: [30.0], BOOKED[1]: [50.0]}


def test_time_is_stale_only_beyond_the_limit() -> None:
    """Two instruments over ten seconds: one is told all the time, the other is silent for six, of which the limit forgives two."""
    stale = Staleness((BTC, ETH), 2 * S)
    stale.proofs(99 * S, [(BTC, 99 * S), (ETH, 99 * S)])
    stale.begin(100 * S)
    for second in range(100, 111):
        lives = [(BTC, second * S)] + ([(ETH, second * S)] if second in (100, 106, 108, 110) else [])
        stale.proofs(second * S, lives)
    assert stale.share(110 * S) == pytest.approx(4 / 20)
    assert stale.stale_for() == 1


def test_old_proofs_do_not_make_prices_young() -> None:
    """A message that is told late proves life as of then, not as of now; after the log has ended everything grows old."""
    stale = Staleness((BTC,), 2 * S)
    stale.begin(100 * S)
    stale.proofs(103 * S, [(BTC, 100 * S)])
    stale.proofs(104 * S, [(BTC, 104 * S)])
    assert stale.share(110 * S) == pytest.approx((4 + 4) / 10)


def test_nothing_before_the_window_counts() -> None:
    """The warm-up may stall as it likes."""
    fold = path(BTC)
    down = FeedStatus(venue="binance", state="DOWN", via="SOCKETS", reason="R", health={}, specs=(), **meta("f"))
    told(fold, (10, down), (50, marks(1_000.0, {BTC: 1_000.0})))
    fold.begin(50 * S)
    assert (fold.states, fold.messages, fold.staleness.share(51 * S)) == ([], 0, 0.0)
    told(fold, (51, down))
    assert fold.states == ["DOWN R"]


def signs(**found: Any) -> Signs:
    """A step without fault, but for this."""
    fine: dict[str, Any] = {"stale_share": 0.0, "feed_states": (), "lags": {"ledger": (0, 0)}, "restarts": {}}
    return Signs(**{**fine, **found})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, []),
        ({"stale_share": 0.01}, []),
        ({"stale_share": 0.02}, ["prices were stale 2.0% of the time"]),
        ({"feed_states": ("STALE X", "STALE X")}, ["the feed was STALE X"]),
        ({"lags": {"ledger": (900, 20)}}, []),
        ({"lags": {"ledger": (60, 900)}}, ["ledger falls behind: 60, then 900 messages"]),
        ({"restarts": {"portfolio": 1}}, ["portfolio was started again"]),
    ],
)
def test_a_step_breaks_for_a_reason(found: dict[str, Any], words: list[str]) -> None:
    """A burst that is worked off is none; what grows is."""
    assert faults_of(signs(**found)) == words


def searched(breaks_at: int, limit: int, tried: dict[int, bool]) -> tuple[Found, list[int]]:
    """The search over a system that breaks from so many instruments on, and what it tried."""
    asked: list[int] = []

    async def breaks(count: int) -> bool:
        asked.append(count)
        return count >= breaks_at

    return asyncio.run(breaking_point(tried, limit, breaks)), asked


def test_the_search_doubles_until_it_breaks_and_then_halves_the_doubt() -> None:
    """From 100 that held: 200 holds, 400 breaks, and between them until the doubt is small."""
    found, asked = searched(270, 800, {10: False, 100: False})
    assert asked == [200, 400, 300, 250, 275]
    assert found == Found(held=250, broke=275)


def test_the_search_ends_at_its_limit() -> None:
    """What holds at the limit is not known to break."""
    assert searched(1_000, 400, {100: False}) == (Found(held=400, broke=None), [200, 400])


def test_the_search_goes_down_when_all_that_was_tried_broke() -> None:
    """Even a single instrument may be too many, and then none is said to hold."""
    assert searched(4, 400, {10: True}) == (Found(held=3, broke=4), [5, 2, 3, 4])
    assert searched(1, 400, {2: True})[0] == Found(held=None, broke=1)


def test_a_small_count_that_broke_by_chance_does_not_stop_the_search() -> None:
    """The smallest count that broke is what is believed, whatever held above it."""
    found, asked = searched(1_000, 400, {10: False, 50: True, 100: False})
    assert found.broke == 50
    assert max(asked) < 50


def test_instruments_have_names_that_the_venue_takes() -> None:
    """Each count begins as every smaller one does, no name is there twice, and exchange_sim lists them."""
    assert instruments_of(2) == KNOWN[:2]
    many = instruments_of(SYMBOLS_MAX)
    assert many[:50] == instruments_of(50)
    assert len(set(many)) == SYMBOLS_MAX
    settings = SimSettings(sim_instruments=",".join(many), instruments=many)  # type: ignore[arg-type]
    assert tuple(settings.listings()) == settings.instruments == many
    with pytest.raises(ValueError, match="at most"):
        SimSettings(instruments=(*many, "ONE-MORE"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=str(SYMBOLS_MAX + 1)):
        instruments_of(SYMBOLS_MAX + 1)


def test_processes_are_known_by_what_they_run() -> None:
    """A service by its module, the server by its binary; a stranger has no name."""
    assert name_of(["/py", "-m", "services.risk_gate"]) == "risk-gate"
    assert name_of(["/py", "-m", "services.exchange_sim"]) == "exchange-sim"
    assert name_of(["/somewhere/nats-server", "--config", "c"]) == "nats-server"
    assert name_of(["/py", "-m"]) == name_of([]) == name_of(["/bin/sh"]) == ""


def test_a_process_with_another_number_was_started_again() -> None:
    """So was one that is gone; what is left of the machine's time is others'."""
    before = Counted(0.0, 10.0, {"a": (1, 0.0), "b": (2, 0.0), "c": (3, 0.0)})
    after = Counted(10.0, 25.0, {"a": (1, 5.0), "b": (9, 1.0)})
    assert restarts(before, after) == {"b": 1, "c": 1}
    assert others_cores(before, after, [Cost(name="a", cpu=0.5, memory_mib=1)]) == pytest.approx(1.0)


def test_a_publish_counts_its_bytes() -> None:
    """The server reads so many bytes as the line before them says, headers and payload."""
    assert framed("a.b", "r", b"xyz") == b"PUB a.b r 3\r\nxyz"
    line, _, rest = framed("a.b", "r", b"xyz", {"K": "v"}).partition(b"\r\n")
    assert line == b"HPUB a.b r 18 21"
    assert len(rest) == 21
    assert rest[18:] == b"xyz"


def test_a_stamp_keeps_its_nanoseconds() -> None:
    """The server writes as few digits as it needs."""
    assert nanoseconds("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert nanoseconds("2026-01-05T00:00:00.123456789Z") % 1_000_000_000 == 123_456_789


def test_a_table_says_what_failed() -> None:
    """Locust's rows stand in the order of the event path, a failure is never left out, and what was not seen has no zeros."""
    from benchmarks.load.report import latencies

    row = Row(group="operate", name="command", samples=3, failures=1, p50=1, p95=2, p99=2, most=2)
    first = Row(group="feed", name="marks", samples=9, failures=0, p50=1, p95=2, p99=2, most=2)
    unseen = Row(group="book", name="fill", samples=0, failures=0, p50=0, p95=0, p99=0, most=0)
    lines = latencies([row, unseen, first])
    assert [line.split()[0] for line in lines] == ["latency", "feed", "operate"]
    assert lines[2].endswith("1 failed")
