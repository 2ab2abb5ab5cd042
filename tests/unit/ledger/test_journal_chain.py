"""The journal is a chain, and its head is declared at the end of every UTC day."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

import msgspec

from libs.common.messages import JournalHeadDeclared, JournalPosted, Message, TimerFired
from libs.common.timeframe import DAY, SECOND
from libs.trading.journal import ChainHead, booked
from services.ledger.day import DAY_TIMER
from tests.unit.ledger.conversation import START, Conversation, marks, reconciled, status, trade

TO_MIDNIGHT_S = (DAY - START % DAY) / SECOND


def entries(said: list[Message]) -> list[JournalPosted]:
    return [each for each in said if isinstance(each, JournalPosted)]


def heads(said: list[Message]) -> list[JournalHeadDeclared]:
    return [each for each in said if isinstance(each, JournalHeadDeclared)]


def test_every_entry_carries_the_digest_of_all_before_it() -> None:
    """Numbered from one, each names the digest before it, and its own follows from that and from its content."""
    talk = Conversation().opened(USDT="100000")
    for number in range(3):
        talk.tell(trade(f"t{number}", "BUY", "0.01", "60000", "0.6"))
    found, head = entries(talk.said), ChainHead()
    assert [each.number for each in found] == [1, 2, 3, 4]
    for entry in found:
        assert entry.previous == head.digest
        assert entry.digest == booked(entry).digest_after(head)
        head = ChainHead(entry.digest, entry.number)
    assert talk.books.head == head


def test_an_auditor_needs_nothing_of_ours_to_compute_a_digest() -> None:
    """SHA-256 over plain JSON, as the documentation says."""
    talk = Conversation().opened(USDT="100000")
    talk.tell(trade("t", "BUY", "0.01", "60000", "0.6"))
    first, second = entries(talk.said)
    lines = [[each.account, each.asset, format(each.amount, "f")] for each in second.postings]
    content = [first.digest, 2, second.entry_id, "FILL", "t", "BTC-USDT", second.ts_event, second.memo, lines]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == second.digest


def test_the_first_event_of_a_new_day_closes_the_old_one_before_it_is_booked() -> None:
    """A ledger that was down at midnight and catches up declares what stood there then, not what came after."""
    talk = Conversation().opened(USDT="100000")
    before = talk.books.head
    said = talk.tell(trade("t", "BUY", "0.01", "60000", "0.6"), after_s=TO_MIDNIGHT_S + 5)
    assert [type(each).__name__ for each in said[:2]] == ["JournalHeadDeclared", "JournalPosted"]
    (head,) = heads(said)
    assert (head.digest, head.number) == (before.digest, 1)
    assert (head.day, head.day_end) == ("2024-08-09", START // DAY * DAY + DAY)
    assert (head.quote, head.equity) == ("USDT", Decimal(100000))


def test_a_quiet_midnight_is_heard_by_a_timer() -> None:
    """With nothing else to hear, the timer for 00:00 UTC brings the declaration; the next one is set at once."""
    talk = Conversation().opened(USDT="100000")
    due = talk.core.memory.timers[DAY_TIMER]
    assert due == START // DAY * DAY + DAY
    (head,) = heads(talk.tell(TimerFired(name=DAY_TIMER, due=due, producer="ledger"), after_s=TO_MIDNIGHT_S))
    assert head.day_end == due
    assert talk.core.memory.timers[DAY_TIMER] == due + DAY
    assert heads(talk.tell(marks(BTC_USDT=61000.0))) == []


def test_days_in_which_nothing_was_heard_are_not_made_up() -> None:
    """Three days of silence are one declaration; it says since when nothing had changed."""
    talk = Conversation().opened(USDT="100000", BTC="1")
    valued = talk.books.equity_ts
    (head,) = heads(talk.tell(marks(BTC_USDT=61000.0), after_s=TO_MIDNIGHT_S + 2 * DAY / SECOND))
    assert (head.day, head.equity_ts, head.equity) == ("2024-08-11", valued, Decimal(160000))


def test_books_that_are_not_open_have_no_head_to_declare() -> None:
    """Nothing is booked, so nothing is closed; and what has no price has no equity."""
    talk = Conversation()
    assert heads(talk.tell(status())) == []
    assert heads(talk.tell(status(), after_s=TO_MIDNIGHT_S)) == []
    talk.tell(reconciled(USDT="1", BTC="1"))
    (head,) = heads(talk.tell(status(), after_s=DAY / SECOND))
    assert (head.number, head.equity) == (1, None)


def test_whatever_is_changed_in_an_entry_changes_its_digest() -> None:
    """No field of an entry or of a posting can be edited without the digest telling."""
    talk = Conversation().opened(USDT="100000")
    entry = booked(entries(talk.said)[0])
    digests = {entry.digest_after(ChainHead())}
    for name in ("entry_id", "kind", "source_id", "instrument", "memo"):
        digests.add(msgspec.structs.replace(entry, **{name: "x"}).digest_after(ChainHead()))
    digests.add(msgspec.structs.replace(entry, ts_event=1).digest_after(ChainHead()))
    digests.add(entry.digest_after(ChainHead("x", 0)))
    digests.add(entry.digest_after(ChainHead("", 1)))
    for name in ("account", "asset", "amount"):
        line = msgspec.structs.replace(entry.lines[0], **{name: "7"})
        digests.add(msgspec.structs.replace(entry, lines=(line, *entry.lines[1:])).digest_after(ChainHead()))
    assert len(digests) == 12
