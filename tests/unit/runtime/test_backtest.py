"""The backtest shell: the real machines over a log in memory, in which nothing takes time."""

from __future__ import annotations

import hashlib
from collections import Counter
from decimal import Decimal

import pytest

from libs.common.codec import decode_from, encode
from libs.common.ids import derive_id
from libs.common.messages import (
    Answer,
    Baseline,
    BaselineDeclared,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    Mark,
    MessageSent,
)
from libs.common.subjects import subject_of
from libs.common.timeframe import MINUTE
from libs.runtime.adapter import LogEntry
from libs.runtime.backtest import Backtest, Emit, Player
from libs.runtime.core import Asked
from libs.runtime.replay import Part, replay
from libs.trading.venue import SpotVenue, VenueUpdate
from services.order_executor.paper import PaperDesk
from services.signal_agents.llm.paper import NoModel
from tests.simulation.market import HALF_SPREAD, HISTORY_BARS, PRICE_EVERY, PricePath, spec
from tests.simulation.world import BEGIN, CASH, INSTRUMENTS, World


class Channel:
    """A channel to people that always works."""

    def perform(self, asked: Asked, now: int, emit: Emit) -> Answer:
        return MessageSent(request_id=asked.request_id, channel="test", ok=True, detail="", ts_event=now, ts_init=now)


def run(seed: int, minutes: int = 90) -> list[LogEntry]:
    """The log of a market of `minutes`, from genesis to the end."""
    return play(seed, minutes)[0]


def play(
    seed: int, minutes: int, *, worse_bps: float = 0, baseline: Baseline | None = None
) -> tuple[list[LogEntry], Backtest]:
    """The same, and who wrote it. The venue's book is so much worse than the feed tells; the baseline is declared before the first price."""
    world = World(seed)
    venue = SpotVenue({each: spec(each) for each in INSTRUMENTS}, {"USDT": CASH})
    paper = PaperDesk(venue)
    worlds = {"exec": paper, "notify": Channel(), "agent.llm": NoModel()}
    players = [
        Player(each.contract, each.machine_class, each.settings, worlds.get(each.contract.writer), each.seal)
        for each in world.members
    ]
    start = BEGIN - HISTORY_BARS * MINUTE
    count = (BEGIN + minutes * MINUTE - start) // PRICE_EVERY + 1
    paths = {each: PricePath(f"{seed}:{each}", start, count, 100.0) for each in INSTRUMENTS}
    entries: list[LogEntry] = []
    test = Backtest(
        players,
        code_version="tested",
        begin=BEGIN,
        watch=lambda seq, message: entries.append(LogEntry(seq, subject_of(message), encode(message))),
    )
    times = {"ts_event": BEGIN, "ts_init": BEGIN}
    test.tell(
        "feed",
        FeedStatus(
            venue="sim", state="LIVE", via="SOCKETS", reason="", health={}, specs=tuple(map(spec, INSTRUMENTS)), **times
        ),
    )
    for each in INSTRUMENTS:
        bars = tuple(paths[each].bar(each, start + index * MINUTE) for index in range(HISTORY_BARS))
        test.tell("feed", FeedHistory(instrument=each, timeframe="1m", bars=bars, **times))
    test.tell("ops.cli", GenesisDeclared(book="test", mode="paper", author="test", **times))
    if baseline is not None:
        test.tell("ops.cli", BaselineDeclared(baseline=baseline, author="test", **times))
    for now in range(BEGIN, BEGIN + minutes * MINUTE, PRICE_EVERY):
        _tick(test, venue, paths, now, worse_bps / 10_000)
    return entries, test


def _tick(test: Backtest, venue: SpotVenue, paths: dict[str, PricePath], now: int, worse: float) -> None:
    times = {"ts_event": now, "ts_init": now}
    test.advance(now)
    marks = []
    for each, path in paths.items():
        px = path.at(now)
        bid, ask = round(px * (1 - HALF_SPREAD), 2), round(px * (1 + HALF_SPREAD), 2)
        _report(test, venue.on_quote(each, bid * (1 - worse), 1_000.0, ask * (1 + worse), 1_000.0, now), now)
        _report(test, venue.on_trade(each, px, 10.0, now), now)
        marks.append(
            Mark(instrument=each, bid_px=bid, ask_px=ask, last_px=px, protective_px=px, trust="TRUSTED", ts=now)
        )
    test.tell("feed", FeedMarks(venue="sim", as_of=now, marks=tuple(marks), alive=INSTRUMENTS, **times))
    if now % MINUTE == 0 and now > BEGIN:
        bars = tuple(path.bar(each, now - MINUTE) for each, path in paths.items())
        test.tell("feed", FeedBars(id=derive_id("bars", now), end_ts=now, bars=bars, **times))


def _report(test: Backtest, updates: list[VenueUpdate], now: int) -> None:
    for update in updates:
        test.tell("exec", update.reported(now))


@pytest.fixture(scope="module")
def entries() -> list[LogEntry]:
    """One backtest, read by several tests."""
    return run(seed=3)


def test_a_backtest_trades_and_keeps_books(entries: list[LogEntry]) -> None:
    """From bars to postings in one process: intents, verdicts, orders, fills, entries, positions."""
    counts = Counter(type(decode_from(each.subject, each.payload)).__name__ for each in entries)
    for kind in ("AgentSignals", "OrderIntent", "OrderApproved", "OrderSubmitting", "ExecutionReport", "JournalPosted"):
        assert counts[kind] > 0, kind
    assert counts["EventRejected"] == 0


def test_a_backtests_log_replays_like_any_other(entries: list[LogEntry]) -> None:
    """The proof that holds for a live log holds for this one."""
    parts = [Part(each.contract, each.machine_class, "tested") for each in World(3).members]
    report = replay(lambda: entries, parts)
    assert report.mismatches == []
    assert report.unpublished == 0
    assert report.verified > 200


def test_the_same_input_gives_the_same_log(entries: list[LogEntry]) -> None:
    """Two backtests of the same market are equal byte for byte."""

    def digest(log: list[LogEntry]) -> str:
        return hashlib.blake2b(b"\n".join(each.payload for each in log)).hexdigest()

    assert digest(run(seed=3)) == digest(entries)


def test_timers_fire_in_the_order_they_are_due(entries: list[LogEntry]) -> None:
    """Time passes between two prices, and what was due in between happens first."""
    fired = [decode_from(each.subject, each.payload) for each in entries if each.subject.endswith(".timer")]
    assert len(fired) > 3
    assert all(each.due <= each.ts_init for each in fired)
    assert [each.ts_init for each in fired] == sorted(each.ts_init for each in fired)


def test_money_is_decimal_to_the_end(entries: list[LogEntry]) -> None:
    """The last equity is cash plus positions, exactly, in Decimal."""
    last = [decode_from(each.subject, each.payload) for each in entries if each.subject == "ledger.equity"][-1]
    assert isinstance(last.equity, Decimal)
    assert last.high_water_mark >= last.equity
