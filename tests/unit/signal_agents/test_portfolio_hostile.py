"""An agent of another trust zone may say anything that is well-formed: what it cannot do to the portfolio, and what outlives a mishap."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from libs.common.codec import BadEvent, decode, encode
from libs.common.messages import AgentScore, AgentsScored, EntriesProposed, OrderIntent
from libs.common.timeframe import DAY, HOUR, MINUTE, SECOND
from libs.runtime.machine import Reject
from tests.playbook import START, Playbook
from tests.unit.signal_agents.portfolio_story import (
    BAR,
    BTC,
    SETTINGS,
    TIMER,
    a_holder,
    a_portfolio,
    approval,
    closed,
    marked,
    opinion,
    posted,
    reported,
    said,
    worth,
)
from tests.unit.signal_agents.test_portfolio_model import hearing, judgement, proposed

BOTH = msgspec.structs.replace(SETTINGS, agents=("trend", "mine"), quorum=1, score_min=0.1)


def scores_of(book: Playbook) -> dict[str, AgentScore]:
    return {each.agent_id: each for each in book.machine.state.scores.scores()}


def test_who_is_scored_does_not_hold_the_ruler() -> None:
    """An agent that speaks first and names its own closes is scored by the feed's: both LONGs were wrong, the SHORT was right."""
    book = a_portfolio(BOTH).tell(closed(1, 60_000.0))
    book.tell(said(1, opinion("LONG", close_px=1.0), agent="mine")).tell(said(1, opinion("SHORT")))
    book.tell(closed(2, 59_000.0)).tell(said(2, opinion("LONG", close_px=1e14), agent="mine"))
    assert {agent: (each.votes, each.hits) for agent, each in scores_of(book).items()} == {
        "mine": (1, 0),
        "trend": (1, 1),
    }


def test_an_absurd_close_leaves_no_absurd_number() -> None:
    """From the smallest price there is to the largest: what is said of the scores can be read back."""
    book = a_portfolio(BOTH).tell(closed(1, 60_000.0))
    book.tell(said(1, opinion(close_px=5e-324, atr=600.0), agent="mine")).tell(said(1))
    book.tell(closed(2, 60_600.0)).tell(said(2, opinion(close_px=9e14), agent="mine")).tell(said(2))
    told = AgentsScored(end_ts=1, scores=tuple(scores_of(book).values()), producer="portfolio")
    assert decode(encode(told)) == told
    assert {agent: each.votes for agent, each in scores_of(book).items()} == {"trend": 1, "mine": 1}


def test_bars_that_never_were_do_not_crowd_out_those_that_were() -> None:
    """An agent that dates its opinions a nanosecond apart has no votes for it, and takes nobody else's away."""
    book = a_portfolio(BOTH).tell(closed(1, 60_000.0))
    for ns in range(1, 9):
        book.tell(said(1, end_ts=START + BAR + ns, agent="mine"))
    book.tell(said(1)).tell(closed(2, 60_100.0))
    assert {agent: each.votes for agent, each in scores_of(book).items()} == {"trend": 1}


@pytest.mark.parametrize(("after", "votes"), [(BAR // 4, 1), (BAR // 4 + 1, 0)])
def test_a_vote_comes_early_in_the_bar_it_is_about(after: int, votes: int) -> None:
    """Whoever waits until the bar is nearly over knows how it goes: that is no foresight, and earns nothing."""
    patient = msgspec.structs.replace(BOTH, signal_age_max=BAR)
    book = a_portfolio(patient).tell(closed(1, 60_000.0))
    book.tell(said(1, agent="mine", ts_init=START + BAR + after)).tell(closed(2, 60_100.0))
    assert sum(each.votes for each in scores_of(book).values()) == votes


def test_a_model_that_answers_late_earns_nothing_by_it() -> None:
    """A judgement at the end of the bar changes nothing and is not scored: the next close is nearly known by then."""
    book = a_portfolio(hearing("shadow")).tell(closed(1, 60_000.0)).tell(said(1))
    (proposal,) = book.only(EntriesProposed).proposals
    book.tell(marked(START + 2 * BAR - SECOND, 60_500.0))
    book.tell(judgement(proposal, "up", 0.9)).tell(closed(2, 60_500.0))
    assert list(scores_of(book)) == ["trend"]


@pytest.mark.parametrize("end_ts", [-(2**62), 0, START - 10 * DAY, 10**400])
def test_what_binds_nobody_moves_nobody(end_ts: int) -> None:
    """An opinion of a bar of another age is no occasion to propose what others want, in the name of that bar."""
    book = a_portfolio(msgspec.structs.replace(BOTH, quorum=2)).tell(said(1))
    book.machine.settings = BOTH  # now one voice is enough
    book.tell(said(1, end_ts=end_ts, agent="mine")).expect()
    assert "mine" not in book.machine.state.books[BTC].opinions


def test_an_agent_cannot_write_a_book_into_our_memory() -> None:
    """Of its evidence only what a model could be shown is kept."""
    long = {f"n{number}": 1.0 for number in range(5_000)} | {"x" * 1_000: 1.0}
    book = a_portfolio(hearing()).tell(said(1, opinion(evidence=long)))
    assert len(encode(book.only(EntriesProposed))) < 4_000
    assert len(msgspec.json.encode(book.machine.state)) < 10_000


def test_an_agent_does_not_say_what_the_market_is() -> None:
    """One that is called `spread` may have evidence called `bps`; the spread is the quote's."""
    settings = hearing(agents=("spread",))
    book = a_portfolio(settings).tell(marked(START + BAR - SECOND, 60_000.0, 60_006.0))
    book.tell(said(1, opinion(evidence={"bps": 0.0}), agent="spread"))
    (proposal,) = book.only(EntriesProposed).proposals
    assert proposal.facts["spread_bps"] == pytest.approx(1.0)


@pytest.mark.parametrize("failure", ["x" * 400_000, "\x1b[2J", "two words"])
def test_a_failure_is_named_by_a_word(failure: str) -> None:
    """It stands in our own decision: what would not fit there, or would reach a terminal, is refused, and the wait goes on."""
    book, proposal = proposed()
    book.tell(judgement(proposal, "none", 0.5, outcome="FAILED", failure=failure))
    assert [effect.reason for effect in book.effects if isinstance(effect, Reject)] == ["BAD_JUDGEMENT"]
    book.fire("judge.BTC-USDT").only(OrderIntent)


@pytest.mark.parametrize("field", ["id", "correlation_id", "causation_id"])
def test_an_id_is_short(field: str) -> None:
    """Whoever answers repeats it: one as long as a message would leave no room for the answer, and end the service that gives it."""
    with pytest.raises(BadEvent, match="MALFORMED"):
        decode(encode(said(1, **{field: "x" * 129})))
    assert decode(encode(said(1, **{field: "x" * 128})))


# --- what must not last for ever ------------------------------------------------------------------------------------


def test_dust_does_not_make_the_next_position_older() -> None:
    """A position is as old as its entry: the dust of an earlier one, held for weeks, is no reason to sell at once."""
    book, entry = a_holder(msgspec.structs.replace(SETTINGS, hold_max=7 * DAY))
    book.tell(posted("0.0004", "stop-fill"))
    later = START + BAR + 30 * DAY
    again = book.tell(said(1, end_ts=later, ts_init=later)).only(OrderIntent)
    fill = reported(again, "TRADE", "FILLED", "0.1", exec_id="fill-2")
    book.tell(approval(again)).tell(fill).tell(posted(Decimal("0.0774"), "fill-2")).expect()
    book.tell(marked(later + MINUTE, 60_000.0)).expect()
    assert book.machine.state.books[BTC].held_since == later
    assert entry.intent_id != again.intent_id


def test_an_approval_that_nobody_reports_on_is_let_go() -> None:
    """The executor could not read its seal, say: ten minutes after it ran out the position may be left again."""
    book, _ = a_holder()
    leaving = book.tell(said(2, opinion("SHORT"))).only(OrderIntent)
    book.tell(approval(leaving))
    book.tell(marked(leaving.valid_until + 9 * MINUTE, 62_000.0)).expect()
    book.fire(TIMER)
    book.tell(marked(book.now + SECOND, 62_000.0))
    assert book.only(OrderIntent).reason == "target"


def test_a_reported_order_is_waited_for_as_long_as_it_takes() -> None:
    """What the executor has spoken of may be at the venue: UNKNOWN never times out into a guess."""
    book, _ = a_holder()
    leaving = book.tell(said(2, opinion("SHORT"))).only(OrderIntent)
    book.tell(approval(leaving)).tell(reported(leaving, "UNKNOWN", "UNKNOWN"))
    assert TIMER not in book.timers
    book.tell(marked(book.now + HOUR, 62_000.0)).expect()


@pytest.mark.parametrize(("later", "is_free"), [(10 * SECOND, False), (10 * SECOND + 1, True)])
def test_a_fill_the_ledger_has_passed_by_holds_nothing_up(later: int, is_free: bool) -> None:
    """One that it refused is never booked: an equity from clearly later says so, and the position can be left again."""
    book, entry = a_holder()
    book.tell(reported(entry, "TRADE", "FILLED", "0.001", role="STOP", exec_id="refused"))
    assert not book.machine.state.books[BTC].is_free
    book.tell(msgspec.structs.replace(worth(), ts_init=book.now + later))
    assert book.machine.state.books[BTC].is_free == is_free
