"""What the bot reads and says: a closed list of words, texts that fit into a message, the same figures as everywhere."""

from __future__ import annotations

from functools import cache

import pytest

from libs.desk.desk import Phase
from libs.desk.status import LogSize, Status, status_of
from libs.desk.verdicts import newest_verdicts
from libs.desk.view import DeskView
from services.telegram_bot import words
from services.telegram_bot.chart import drawdowns, equity_chart
from services.telegram_bot.incoming import Incoming
from services.telegram_bot.wishes import REASON_CHARS_MAX, Wish, code_in, is_halt, wish_in
from tests.recorded_log import message_of, recorded_log

LIVE = Phase("LIVE", "", 7, 0, 0)
LOG = LogSize("TRADING_0001", 0, 7, 0, 0)


@cache
def view() -> DeskView:
    """A day in miniature, folded."""
    found = DeskView()
    for entry in recorded_log(3):
        found.take(entry, message_of(entry))
    return found


def status() -> Status:
    return status_of(view().standing, {}, LOG)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("/status", Wish(word="status")),
        ("/STATUS@bulkhead_bot", Wish(word="status")),
        ("/start", Wish(word="help")),
        ("/trace  latest ", Wish(word="trace", argument="latest")),
        ("/halt the\nmarket \u202e is\tmad", Wish(word="halt", reason="the market is mad")),
        ("/halt", Wish(word="halt")),
        ("/halt\nprices are wrong", Wish(word="halt", reason="prices are wrong")),
        ("/resume\t123456\nall is well", Wish(word="resume", code="123456", reason="all is well")),
        ("/resume 123456 all is well", Wish(word="resume", code="123456", reason="all is well")),
        ("/resume 1234567 seven digits", Wish(word="resume", reason="1234567 seven digits")),
        ("/halt 123456 no code here", Wish(word="halt", reason="123456 no code here")),
        ("/cancel 0123abcd stale", Wish(word="cancel", order="0123abcd", reason="stale")),
        ("/cancel everything stale", Wish(word="cancel", reason="everything stale")),
        ("/flatten 123456", Wish(word="flatten", code="123456")),
        ("halt", None),
        ("/withdraw 1 BTC", None),
        ("/", None),
        ("", None),
    ],
)
def test_words_are_read(text: str, wish: Wish | None) -> None:
    """One line of printable text; a code and an order are taken out of the reason, where they belong to the word."""
    assert wish_in(text) == wish


def test_a_reason_is_cut() -> None:
    """It stands in the log for ever, and in every story."""
    wish = wish_in("/halt " + "x" * 5_000)
    assert wish is not None
    assert len(wish.reason) == REASON_CHARS_MAX


def test_codes_and_halts_are_told_apart_from_talk() -> None:
    """Six digits are a code, with a space as authenticators show them; a halt is the word or a button that confirms."""
    assert [code_in(each) for each in ("123456", " 123 456 ", "12345", "123456 please", "")] == [
        "123456",
        "123456",
        "",
        "",
        "",
    ]
    assert is_halt(Incoming(update_id=1, kind="message", text="/halt@bot now"))
    assert is_halt(Incoming(update_id=1, kind="press", data="y:abc"))
    assert not is_halt(Incoming(update_id=1, kind="press", data="v:status"))
    assert not is_halt(Incoming(update_id=1, kind="message", text="/halted?"))


def test_what_is_too_long_is_cut_at_a_line_and_says_so() -> None:
    """Telegram counts in UTF-16 units; the last line says how much is missing and what shows it."""
    lines = [f"line {number} {'🙂' * 20}" for number in range(500)]
    text = words.fitted(lines, "bulkhead trace latest")
    assert words.units(text) <= 4096
    kept = text.splitlines()
    assert kept[:-1] == lines[: len(kept) - 1]
    assert (
        kept[-1]
        == f"… {500 - len(kept) + 1} of 500 lines are left out; on the machine of the stack: bulkhead trace latest"
    )
    assert words.fitted(["short"], "x") == "short"
    assert words.fitted([], "x") == "nothing"
    assert words.units(words.fitted(["🙂" * 10_000], "x")) <= 4096


def test_the_figures_are_those_of_the_folds() -> None:
    """Equity, fills, what is held: as `bulkhead status` and the console have them, because the folds are the same."""
    books, counts = status().books, view().standing.orders
    assert books is not None
    text = words.status_text(status(), LIVE)
    assert f"equity {books.equity:,.2f} (cash {books.balance:,.2f}" in text
    assert f"{counts.fills} fills" in text
    assert text.startswith(view().standing.facts.trading_state)
    pnl = words.pnl_text(view(), status(), LIVE)
    assert f"{len(view().record.trips.closed)} trades closed" in pnl
    assert f"drawdown {books.drawdown:.2%}" in pnl
    held = [line for line in view().position_lines if line.signed_qty]
    positions = words.positions_text(view(), LIVE)
    assert [line.instrument for line in held if f"{line.instrument}  {line.signed_qty:f}" not in positions] == []
    risk = words.risk_text(view(), status(), LIVE, newest_verdicts(recorded_log(3)))
    assert "room left: " in risk
    assert f"{counts.denied} of {counts.intents} wishes denied" in risk
    assert "wished" in words.orders_text(view(), LIVE)
    assert "every position is covered" in words.health_text(status(), LIVE)


def test_an_empty_log_is_said_in_words() -> None:
    """Before anything has happened every question has an answer."""
    empty = DeskView()
    nothing = status_of(empty.standing, {}, LOG)
    assert "equity not yet known" in words.status_text(nothing, LIVE)
    assert words.positions_text(empty, LIVE) == "nothing is held"
    assert words.orders_text(empty, LIVE).startswith("no order is open")
    assert words.pnl_text(empty, nothing, LIVE) == "equity not yet known"
    assert words.alerts_text(empty, LIVE) == "no alerts"
    assert "exposure 0.00" in words.risk_text(empty, nothing, LIVE, [])


def test_what_may_be_old_is_said_first() -> None:
    """A tired reader sees in the first line that the figures are not of now."""
    behind = Phase("DISCONNECTED", "the bus does not answer", 7, 3, 0)
    for text in (
        words.status_text(status(), behind),
        words.positions_text(view(), behind),
        words.orders_text(view(), behind),
    ):
        assert text.splitlines()[0] == "DISCONNECTED, 3 events behind: the bus does not answer"


def test_a_chart_is_a_picture_of_the_curve() -> None:
    """A PNG of 800 x 500; one point makes no line; drawdowns are against the highest so far."""
    assert drawdowns([100.0, 110.0, 99.0, 121.0, 121.0]) == pytest.approx([0, 0, 0.1, 0, 0])
    assert equity_chart([(1, 100.0)], "x") == b""
    day = 86_400_000_000_000
    picture = equity_chart([(number * day, 100.0 + number % 7) for number in range(30)], "costs $5 and $6")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (800, 500)
