"""What people read: a story with its numbers, a status with what to look at, a proof with its verdict."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

from libs.common.messages import (
    ALL,
    AccountRead,
    AgentSignals,
    Check,
    ExecutionReport,
    FeedBars,
    FeedHistory,
    FeedStatus,
    JournalPosted,
    LevelsMapped,
    LiveUnlocked,
    MacroRegimes,
    Message,
    MessageSent,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderLookedUp,
    PositionChanged,
    PrintRejected,
    QuoteChanged,
    Reconciled,
    RequestExpired,
    ServiceStarted,
    TradePrinted,
    UserStreamChanged,
    VenueReported,
)
from libs.desk.findings import findings_of
from libs.desk.services import ServiceLine, work_left
from libs.desk.standing import Books, OrderCounts, PositionLine, Quarantine, StatusView, Uncovered
from libs.desk.status import LogSize, Status
from libs.desk.story import tell, timed
from libs.desk.story_target import Target, newest
from libs.desk.story_text import story_text
from libs.desk.story_words import said
from libs.runtime.replay import Mismatch, ReplayReport
from services.cli.doctor_health import findings_of as health_of
from services.cli.proof import complaint, exit_code_of, proof_text
from services.cli.status_text import status_text
from tests.recorded_log import recorded_log
from tests.unit.common.sampling import sample_of, tag_of

D = Decimal
NEVER_IN_A_STORY = (
    PrintRejected,
    QuoteChanged,
    TradePrinted,
    FeedHistory,
    FeedStatus,
    ServiceStarted,
    UserStreamChanged,
)
"""They cause nothing that is told: their name is enough."""


def shown(answer: RenderableType) -> str:
    screen = io.StringIO()
    Console(file=screen, width=200).print(answer)
    return screen.getvalue()


def words_of(message: Message, *instruments: str) -> str:
    headline, details = said(message, instruments)
    return "\n".join([headline, *(str(detail) for detail in details)])


# --- a story ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in NEVER_IN_A_STORY], ids=tag_of)
def test_every_event_of_a_story_says_more_than_its_name(kind: type[Message]) -> None:
    """A reader learns what happened, not what the type is called."""
    assert kind.__name__ not in words_of(sample_of(kind))


def test_a_denial_shows_every_check_with_value_and_limit() -> None:
    """Why not is as clear as why."""
    checks = (
        Check(code="MAX_POSITION", passed=False, value="21000", limit="20000"),
        Check(code="TICK", passed=True, value="103.56", limit="tick 0.01"),
    )
    text = words_of(msgspec.structs.replace(sample_of(OrderDenied), checks=checks, reasons=("MAX_POSITION",)))
    assert "DENIED" in text
    assert "FAILED  MAX_POSITION               21000  limit 20000" in text
    assert "passed  TICK                       103.56  limit tick 0.01" in text


def test_the_numbers_of_a_check_have_units() -> None:
    """A moment is a time of day, an age has its milliseconds, a word stays a word."""
    moment, later = "1767571200250000000", "1767571215000000000"
    checks = (
        Check(code="STALE_INTENT", passed=True, value=moment, limit=later),
        Check(code="STALE_PRICE", passed=True, value="12.5", limit="20000"),
        Check(code="STALE_PRICE", passed=False, value="missing", limit="exempt"),
        Check(code="MAX_POSITION", passed=True, value="21", limit="22"),
    )
    text = words_of(msgspec.structs.replace(sample_of(OrderApproved), checks=checks))
    for words in (
        "00:00:00.250  limit 00:00:15.000",
        "12.5 ms  limit 20000 ms",
        "missing  limit exempt",
        " 21  limit 22",
    ):
        assert words in text


def test_an_opinion_shows_its_evidence() -> None:
    """Stance, strength and every number it rests on; an agent that is not warm has none."""
    signals = sample_of(AgentSignals)
    (signal,) = signals.signals  # type: ignore[attr-defined]
    text = words_of(signals)
    assert signal.stance in text
    assert all(name in text for name in signal.evidence)
    cold = msgspec.structs.replace(signals, signals=(msgspec.structs.replace(signal, ready=False),))
    assert "not warm yet" in words_of(cold)
    longer = {"adx": 30.0, "adx_1h": 40.0, "adx_4h": 50.0, "rsi_1h": 60.0}
    both = msgspec.structs.replace(signals, signals=(msgspec.structs.replace(signal, evidence=longer),))
    lines = [" ".join(line.split()) for line in words_of(both).splitlines()]
    assert lines[-2:] == ["adx_1h=40 rsi_1h=60", "adx_4h=50"]
    assert lines[-3].endswith(" adx=30")


def test_a_regime_shows_what_it_is_worth() -> None:
    """State, since when, from how many weeks, and the numbers; one that rests on nothing has none."""
    regimes = sample_of(MacroRegimes)
    (regime,) = regimes.regimes  # type: ignore[attr-defined]
    known = msgspec.structs.replace(regime, state="BULL", provisional=True, weeks=30, evidence={"votes": 3.0})
    text = words_of(msgspec.structs.replace(regimes, regimes=(known,)))
    assert "BTC-USDT BULL (provisional) since 2025-07-22 after 30 weeks  votes=3" in text
    cold = msgspec.structs.replace(known, state="UNKNOWN", provisional=False, weeks=0, since_ts=0, evidence={})
    assert words_of(msgspec.structs.replace(regimes, regimes=(cold,))).endswith("BTC-USDT UNKNOWN after 0 weeks")


def test_a_map_of_levels_shows_its_zones() -> None:
    """Role, edges, touches and score of each zone, and where volume changed hands; a cold map says that it is cold."""
    mapped = sample_of(LevelsMapped)
    (level_map,) = mapped.maps  # type: ignore[attr-defined]
    zone = msgspec.structs.replace(level_map.zones[0], lo=100.5, hi=101.25, touches=7, score=3.456)
    warm = msgspec.structs.replace(level_map, zones=(zone,), poc=99.0, val=98.0, vah=102.0)
    text = words_of(msgspec.structs.replace(mapped, maps=(warm,)))
    for words in (
        "sees 1 zones",
        "SUPPORT 100.5 to 101.25, 7 touches, score 3.46",
        "most at 99, 70 % within 98 to 102",
    ):
        assert words in text
    cold = msgspec.structs.replace(level_map, ready=False, zones=())
    assert "not warm yet" in words_of(msgspec.structs.replace(mapped, maps=(cold,)))
    assert level_map.instrument not in words_of(mapped, "OTHER-USDT")


def test_only_the_instruments_of_the_story_are_shown() -> None:
    """A batch of bars, signals or regimes is for all instruments; the story is about one."""
    bars, signals, regimes = sample_of(FeedBars), sample_of(AgentSignals), sample_of(MacroRegimes)
    for message, part in (
        (bars, bars.bars[0]),  # type: ignore[attr-defined]
        (signals, signals.signals[0]),  # type: ignore[attr-defined]
        (regimes, regimes.regimes[0]),  # type: ignore[attr-defined]
    ):
        assert part.instrument in words_of(message, part.instrument)
        assert part.instrument not in words_of(message, "OTHER-USDT")


def test_what_failed_is_said_as_a_failure() -> None:
    """A reading without an answer, books that differ, a message not delivered, a request too old."""
    assert "failed" in words_of(msgspec.structs.replace(sample_of(AccountRead), ok=False))
    unclean = msgspec.structs.replace(sample_of(Reconciled), clean=False, mismatches=("BTC: 1 more",))
    assert "DO NOT AGREE\nBTC: 1 more" in words_of(unclean)
    assert "failed" in words_of(msgspec.structs.replace(sample_of(MessageSent), ok=False))
    assert "never sent" in words_of(sample_of(RequestExpired))
    lost = msgspec.structs.replace(sample_of(OrderLookedUp), order=None, fills=(), outcome="NOT_FOUND")
    assert "NOT_FOUND" in words_of(lost)
    assert "not signed" in words_of(msgspec.structs.replace(sample_of(OrderApproved), signature=""))


def test_fills_and_other_reports_are_told_apart() -> None:
    """A fill has a price and a commission; another report has a reason."""
    fill = msgspec.structs.replace(sample_of(ExecutionReport), exec_type="TRADE", last_qty=D("0.5"), last_px=D(70000))
    assert "0.5 BTC-USDT @ 70,000" in words_of(fill)
    refused = msgspec.structs.replace(fill, exec_type="REJECTED", ord_status="REJECTED", reason="no money")
    assert "REJECTED" in words_of(refused)
    assert "no money" in words_of(refused)


def test_flat_positions_postings_and_exits_are_readable() -> None:
    """Flat is a word, each posting a line, and an exit has no stop of its own."""
    assert "flat" in words_of(msgspec.structs.replace(sample_of(PositionChanged), signed_qty=D(0)))
    entry = sample_of(JournalPosted)
    assert all(posting.account in words_of(entry) for posting in entry.postings)  # type: ignore[attr-defined]
    assert "reduce only" in words_of(msgspec.structs.replace(sample_of(OrderIntent), reduce_only=True))
    bare = msgspec.structs.replace(sample_of(VenueReported), order=None)
    assert "reports on" in words_of(bare)


def test_a_story_is_a_timeline() -> None:
    """One line for each event with seq, time and the time since its cause, details below."""
    log = recorded_log(2)
    (target,) = newest(log)
    story = tell(log, target)
    lines = [line.plain for line in story_text(story)]
    assert target.id in lines[0]
    assert "the events' own clock" in lines[0]
    for event in story.events:
        (line,) = [line for line in lines if line.startswith(f"{event.seq:>8}  ")]
        assert event.role in line
    late = timed(story, {event.seq: event.seq * 3_000_000_000 for event in story.events})
    late_lines = [line.plain for line in story_text(late)]
    assert "the log's clock" in late_lines[0]
    assert any(" 3.0 s " in line for line in late_lines)


def test_a_whole_story_is_about_everything() -> None:
    """A correlation has no single instrument, and its headline names none."""
    log = recorded_log(2)
    (target,) = newest(log)
    correlation_id = tell(log, target).events[0].message.correlation_id
    first = next(iter(story_text(tell(log, Target("correlation", correlation_id)))))
    assert "about" not in first.plain


# --- a status -----------------------------------------------------------------------------------------------------


def test_a_stand_in_that_speaks_is_a_finding_however_well_it_is() -> None:
    """Nothing is bought while it does, for days if need be, and nobody was told."""
    feed = {"state": "LIVE", "venue": "kraken", "via": "SOCKETS", "home": "binance"}
    assert status(feed=feed).findings == ["kraken stands in for binance: positions are watched, nothing is bought"]
    assert status(feed={**feed, "venue": "binance"}).findings == []


def status(**fields: Any) -> Status:
    usual: dict[str, Any] = {
        "home": "home",
        "book": "main",
        "mode": "paper",
        "as_of": 1_767_571_200_000_000_000,
        "services": {},
        "processes": {},
        "orders": OrderCounts(filled=2),
        "positions": {},
        "equity": None,
        "books": None,
        "trading_state": "ACTIVE",
        "trading_reason": "",
        "reconciled": None,
        "mismatches": (),
        "feed": {"state": "", "venue": ""},
        "quarantined": [],
        "uncovered": [],
        "log": LogSize("TRADING_0001", 1, 7, 7, 1000),
    }
    found = Status(**(usual | fields))
    found.findings = [each.text for each in findings_of(found)]
    return found


def test_a_young_stack_has_nothing_to_find() -> None:
    """What is not yet known is not wrong."""
    young = status(book="")
    assert young.findings == []
    text = shown(status_text(young))
    assert "no book yet" in text
    assert "all is well" in text
    assert "not yet known" in text


def test_a_status_says_which_market_is_traded_where() -> None:
    """And what is wrong there is something to look at."""
    on_paper = status(venue="paper: the live market of X, orders at Y", venue_trouble="it does not see BTC-USDT")
    text = shown(status_text(on_paper))
    assert "venue      paper: the live market of X, orders at Y" in text
    assert "the venue: it does not see BTC-USDT" in text


def test_an_override_of_the_lock_is_a_finding_while_its_certificate_is_in_force() -> None:
    """Whose, until when, why and without what; a book that has shown everything trades without a word, until its certificate has run out."""
    view = StatusView()
    told = {"book": "main", "paper_days": 2, "certificate": "5f" * 32, "expires_at": 1_767_571_300_000_000_000}
    unmet = ("days: 2 days count (asked: 14)", "security audit: there is none (asked: proof of it)")
    view.take(LiveUnlocked(**told, grounds="OVERRIDE", operator="Ada", reason="small", unmet=unmet))
    found = status(unlocked=view.facts.unlocked)
    assert found.findings == [
        "live by the override of Ada until 2026-01-05 00:01:40 UTC: small; not shown: days, security audit"
    ]
    late = status(unlocked=view.facts.unlocked, as_of=told["expires_at"])
    ran_out = "the certificate of live trading ran out on 2026-01-05 00:01:40 UTC: the next start is refused"
    assert late.findings == [ran_out]
    view.take(LiveUnlocked(**told, grounds="MET", operator="", reason="", unmet=()))
    assert status(unlocked=view.facts.unlocked).findings == []
    assert status(unlocked=view.facts.unlocked, as_of=told["expires_at"]).findings == [ran_out]


def test_everything_a_person_should_look_at_is_found() -> None:
    """Each trouble is one finding in words, and stands at the end of the screen."""
    bad = status(
        services={"ledger": ServiceLine(name="ledger", url="", up=False, ready=False, phase="does not answer")},
        trading_state="HALTED",
        trading_reason="drawdown",
        reconciled=False,
        mismatches=("BTC: 1 more at the venue",),
        feed={"state": "STALE", "venue": "binance", "via": "POLLING"},
        doubts={"SOL-USDT": "UNIT (POWER_OF_TEN)"},
        quarantined=[Quarantine("BTC-USDT", "abc", "no answer")],
        uncovered=[Uncovered("ETH-USDT", D(2), D(1))],
        positions={
            "ETH-USDT": PositionLine(D(2), D(100), D("-3"), D(1)),
            "BTC-USDT": PositionLine(D(0), D(0), D("5"), D(1)),
        },
        books=Books(D(1), D(2), D(3), D(4), D(5), D("0.25")),
        orders=OrderCounts(unknown=1),
        processes={"supervisor": 41, "nats": 42, "ledger": 43},
    )
    for words in (
        "ledger",
        "HALTED: drawdown",
        "BTC: 1 more",
        "STALE",
        "are polled",
        "price of SOL-USDT is in doubt: UNIT",
        "quarantined, order abc",
        "of 2 only 1 has a stop",
    ):
        assert len([finding for finding in bad.findings if words in finding]) == 1, words
    text = shown(status_text(bad))
    assert all(finding in text for finding in bad.findings)
    assert "drawdown 25.00%" in text
    assert "1 UNKNOWN" in text
    assert "pid of supervisor 41, nats 42\n" in text


def line(name: str, **fields: Any) -> ServiceLine:
    return ServiceLine(name=name, url="", **({"up": True, "ready": True, "phase": "live", "quiescent": True} | fields))


def test_profit_is_what_is_left_after_fees() -> None:
    """A gain before fees beside the fees would be read as a gain."""
    text = shown(
        status_text(
            status(
                positions={"BTC-USDT": PositionLine(D(0), D(0), D("0.44"), D("3.00"))},
                books=Books(D(100), D(100), D("0.44"), D(0), D(100), D(0)),
            )
        )
    )
    assert "net -2.56 after 3.00 fees" in text
    assert "profit" not in text


def test_dust_is_called_dust() -> None:
    """What is too little for an order has no stop, and does not say that it has one."""
    positions = {name: PositionLine(D("0.01"), D(1), D(0), D(0)) for name in ("BTC-USDT", "ETH-USDT")}
    rows = shown(status_text(status(positions=positions, dust=["BTC-USDT"]))).splitlines()
    (dust,), (covered,) = ([row.split() for row in rows if row.startswith(name)] for name in positions)
    assert (dust[-1], covered[-1]) == ("dust", "yes")


def test_old_knowledge_is_marked() -> None:
    """While the feed or the executor is silent, what the log says of their work is what they said last."""
    known: dict[str, Any] = {"feed": {"state": "LIVE", "venue": "sim"}, "reconciled": True}
    services = {name: line(name) for name in ("market-feed", "order-executor")}
    assert "last known" not in shown(status_text(status(services=services, **known)))
    for name, words in (("market-feed", "sim LIVE (last known)"), ("order-executor", "yes (last known)")):
        text = shown(status_text(status(services=services | {name: line(name, up=False, ready=False)}, **known)))
        assert words in text
        assert text.count("last known") == 1


def test_work_that_stays_is_not_well() -> None:
    """A few events after a restart are caught up with; many that stay are a finding; work in progress is neither."""
    quiet, working = {"a": line("a")}, {"a": line("a", quiescent=False, processed_seq=1)}
    few = {"a": line("a", outbox=3, processed_seq=1)}
    many = {"a": line("a", outbox=500, processed_seq=1)}
    moved = {"a": line("a", quiescent=False, processed_seq=2)}
    assert work_left(quiet, quiet) == work_left(few, quiet) == work_left(working, moved) == ([], [])
    for before, after in ((few, few), (working, working), ({"a": line("a", outbox=900)}, many)):
        assert [len(each) for each in work_left(before, after)] == [1, 0]
    assert [len(each) for each in work_left(many, many)] == [0, 1]
    text = shown(status_text(status(catching_up=["a: 3 events to write"])))
    assert "catching up, a: 3 events to write" in text
    assert "all is well" not in text
    assert status(stuck=["a does not get on"]).findings == ["a does not get on"]


def test_a_log_that_became_shorter_is_found() -> None:
    """Who has seen it reach further knows that events are lost."""
    assert status(known_seq=7).findings == []
    (finding,) = status(known_seq=9).findings
    assert "ends at 7, but has reached 9" in finding


def test_the_doctor_says_what_to_do_about_each() -> None:
    """The same knowledge as the status, each with a cure and a level."""
    assert [each.level for each in health_of(status(services={"a": line("a")}))] == ["OK"]
    bad = status(
        services={
            "a": line("a", up=False, ready=False, pid=7),
            "b": line("b", up=False, ready=False),
            "c": line("c", ready=False, phase="recovering"),
        },
        trading_state="REDUCING",
        feed={"state": "STALE", "venue": "sim", "via": "POLLING"},
        doubts={"SOL-USDT": "UNIT (POWER_OF_TEN)"},
        reconciled=False,
        quarantined=[Quarantine("BTC-USDT", "abc", "no answer")],
        uncovered=[Uncovered("ETH-USDT", D(2), D(1))],
        known_seq=9,
        stuck=["d"],
        catching_up=["e"],
    )
    found = health_of(bad)
    assert all(each.cure for each in found)
    assert "kill -CONT 7" in found[0].cure
    assert [(each.check, each.level) for each in found[3:]] == [
        ("log", "FAIL"),
        ("trading", "WARN"),
        ("feed", "WARN"),
        ("feed", "WARN"),
        ("price", "WARN"),
        ("books", "FAIL"),
        ("quarantine", "FAIL"),
        ("stops", "FAIL"),
        ("outbox", "FAIL"),
        ("outbox", "WARN"),
    ]


# --- a proof ------------------------------------------------------------------------------------------------------


def test_a_verdict_is_never_kinder_than_its_numbers() -> None:
    """Mismatches fail always; a proof that compared nothing fails where a proof was asked for."""
    clean = ReplayReport(events=3, verified=2, digest="d")
    other = ReplayReport(events=3, other_code=2, spans={"risk": ["v1", "v2"]})
    broken = ReplayReport(mismatch_count=1, mismatches=[Mismatch(7, "risk", "lost", "OrderDenied is missing")])
    codes = [(exit_code_of(each, verify=False), exit_code_of(each, verify=True)) for each in (clean, other, broken)]
    assert codes == [(0, 0), (0, 1), (1, 1)]
    assert "clean" in shown(proof_text(clean))
    assert "nothing was compared" in shown(proof_text(other))
    assert "2 versions of its code: v1 v2" in shown(proof_text(other))
    assert "7 risk lost: OrderDenied is missing" in shown(proof_text(broken))
    assert "check out" in complaint(other)[1]
    assert "halt" in complaint(broken)[1]
