"""The bot on a real bus and an emulated Telegram, with aiogram as it is: who is heard, what is confirmed, what is said once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from libs.common.messages import (
    AccessRefused,
    AlertRaised,
    CancelCommanded,
    FlattenCommanded,
    MuteCommanded,
    OperatorCommanded,
    PositionChanged,
    ServiceStarted,
    TradingStateChanged,
)
from libs.desk.story import tell
from libs.desk.story_target import newest
from libs.desk.story_text import story_text
from services.telegram_bot.wishes import COMMANDS, MEANINGS, QUESTIONS
from services.telegram_sim.behaviour import Behaviour
from tests.e2e.live_services import Life, Pen
from tests.e2e.telegram_stand import ADA, BOB, CAT, EVE, Stand, standing
from tests.e2e.test_cli import answer_of, write, write_map
from tests.nats_stack import NatsStack
from tests.recorded_log import recorded_log

LOG = recorded_log(3)
SHORT = 120
YES = "Yes, HALT"
WHERE_MONEY_GOES = ("withdraw", "transfer", "send", "deposit", "pay", "address", "wallet", "buy", "sell")


@pytest.fixture
async def stand(nats: NatsStack, tmp_path: Path) -> AsyncIterator[Stand]:
    """A bot on a short log."""
    await write(nats, LOG[:SHORT])
    async with standing(nats, tmp_path) as stand:
        yield stand


async def commands_in(stand: Stand) -> list[str]:
    """Every command that the bot has said."""
    kinds = (OperatorCommanded, FlattenCommanded, CancelCommanded)
    return [type(each).__name__ for kind in kinds for each in await stand.said(kind)]


# --- a command ------------------------------------------------------------------------------------------------------


async def test_a_halt_is_one_word_and_one_press(stand: Stand) -> None:
    """Asked, confirmed, in the log with its reason and its author; the answer names the event."""
    asked = await stand.asks(ADA, "/halt the market has gone mad", "HALT?")
    assert "the market has gone mad" in asked.text
    assert await commands_in(stand) == []
    stand.presses(ADA, YES)
    answer = await stand.reads(f"(event {SHORT + 2})")
    assert (answer.message_id, answer.buttons) == (asked.message_id, [])
    (said,) = await stand.said(OperatorCommanded)
    assert (said.command, said.reason, said.author) == ("HALT", "the market has gone mad", f"telegram:{ADA}")
    await stand.asks(ADA, "/status", "ACTIVE")
    stand.presses(ADA, "Halt…")
    await stand.reads("by button over Telegram")
    stand.presses(ADA, YES)
    await stand.reads(f"(event {SHORT + 3})")


async def test_a_running_gate_halts_and_the_answer_says_so(nats: NatsStack, tmp_path: Path) -> None:
    """From the press to the answer: halted now, by which event; in well under the half second that operators are promised."""
    gate = await Life(nats, "risk-gate").live()
    async with standing(nats, tmp_path, telegram_command_wait_s=5.0) as stand:
        await stand.asks(ADA, "/halt a drill", "HALT?")
        pressed = time.monotonic()
        stand.presses(ADA, YES)
        answer = await stand.reads("trading is HALTED now, it was ACTIVE")
        assert time.monotonic() - pressed < 3.0
        assert "answered by event" in answer.text
        assert stand.bot._desk is not None
        await stand.until(lambda: stand.bot._desk.view.standing.facts.trading_state == "HALTED")  # type: ignore[union-attr]
        await stand.asks(ADA, f"/resume {stand.code()} the drill is over", "RESUME?")
        stand.presses(ADA, "Yes, RESUME")
        await stand.reads("trading is ACTIVE now, it was HALTED")
    assert await gate.stop() is None


# --- who is not heard -------------------------------------------------------------------------------------------------


async def test_strangers_and_groups_get_no_answer_and_leave_a_record(stand: Stand) -> None:
    """Nothing is sent to them, nothing changes; told together, with their number and what they tried."""
    for _ in range(5):
        stand.says(EVE, "/halt please")
    stand.says(ADA, "/halt from a group", chat=-100)
    stand.says(EVE + 1, "/status", chat=-100)
    found = await stand.refused("UNKNOWN_USER")
    assert (found.door, found.who, found.what, found.address) == ("telegram", str(EVE), "/halt", f"chat {EVE}")
    assert (await stand.refused("NOT_PRIVATE")).who == str(ADA)
    await stand.asks(ADA, "/help", "you may look and command")
    assert {each.chat for each in stand.telegram.chats.sent} == {ADA}
    assert await commands_in(stand) == []
    assert len([each for each in await stand.said(AccessRefused) if each.who == str(EVE)]) <= 2


async def test_what_is_not_said_here_and_now_is_not_obeyed(stand: Stand) -> None:
    """Forwarded, changed, old, replayed: each is refused with its reason, on record, and nothing is asked or said."""
    stand.says(ADA, "/halt", forwarded=EVE)
    await stand.reads("forwarded")
    stand.says(ADA, "/halt", is_edited=True)
    await stand.reads("changed")
    stand.says(ADA, "/halt", date=int(time.time()) - 180)
    await stand.reads("3 minutes ago")
    for why in ("FORWARDED", "EDITED", "STALE"):
        assert (await stand.refused(why)).who == str(ADA)
    asked = stand.says(ADA, "/halt a drill")
    await stand.reads("HALT?")
    pressed = stand.presses(ADA, YES)
    await stand.reads(f"(event {SHORT + 5})")
    sent = len(stand.telegram.chats.sent)
    for update_id in (asked, pressed, pressed):
        stand.telegram.chats.repeat(update_id)
    await stand.refused("REPLAYED")
    await stand.asks(ADA, "/help", "you may")
    assert len(stand.telegram.chats.sent) == sent + 1
    assert await commands_in(stand) == ["OperatorCommanded"]


async def test_too_many_requests_are_refused_but_a_halt_is_heard(nats: NatsStack, tmp_path: Path) -> None:
    """Ten a minute, three of the dangerous ones; /halt comes through all the same."""
    await write(nats, LOG[:SHORT])
    async with standing(nats, tmp_path, telegram_rate=4, telegram_rate_dangerous=2) as stand:
        for _ in range(2):
            await stand.asks(ADA, "/resume because", "RESUME?")
        await stand.asks(ADA, "/flatten because", "Too many such commands")
        await stand.asks(ADA, "/status", "ACTIVE")
        await stand.asks(ADA, "/status", "Too many requests")
        await stand.asks(ADA, "/halt now", "HALT?")
        stand.presses(ADA, YES)
        await stand.reads("HALT: nothing has changed yet")
        assert (await stand.refused("RATE")).who == str(ADA)


async def test_who_may_look_may_not_command(stand: Stand) -> None:
    """The reader sees everything, is offered no halt, and is refused with a record."""
    await stand.asks(BOB, "/help", "you may look")
    looked = await stand.asks(BOB, "/status", "ACTIVE")
    assert not any("Halt" in each["text"] for row in looked.buttons for each in row)
    await stand.asks(BOB, "/halt now", "You may look, not command")
    stand.presses(BOB, "Positions", forged="c:halt")
    assert (await stand.refused("ROLE")).who == str(BOB)
    assert await commands_in(stand) == []


# --- confirmations ----------------------------------------------------------------------------------------------------


async def test_only_the_right_press_confirms(stand: Stand) -> None:
    """Altered, somebody else's, from another chat, answered with No, asked again, too late, twice: nothing is said but once."""
    asked = await stand.asks(ADA, "/halt one", "HALT?")
    name = asked.buttons[0][0]["callback_data"]
    stand.presses(ADA, YES, forged=f"{name[:-1]}{'A' if name[-1] != 'A' else 'B'}")
    await stand.reads("is not known")
    await stand.asks(CAT, "/status", "ACTIVE")
    stand.presses(CAT, "Positions", forged=name)
    await stand.reads("somebody else was asked", chat=CAT)
    stand.presses(BOB, YES, chat=ADA)
    await stand.refused("NOT_PRIVATE")
    stand.presses(ADA, "No")
    await stand.reads("HALT was not said")
    second = await stand.asks(ADA, "/halt two", "HALT?")
    third = await stand.asks(ADA, "/halt three", "HALT?")
    stand.presses(ADA, YES, message_id=second.message_id)
    await stand.reads("this question is void")
    stand.presses(ADA, YES, message_id=third.message_id)
    data = third.buttons[0][0]["callback_data"]
    stand.presses(ADA, YES, message_id=third.message_id, forged=data)
    await stand.reads("confirmed already")
    late = await stand.asks(ADA, "/halt four", "HALT?")
    for each in stand.confirmations._kept.values():
        each.until = 0.0
    stand.presses(ADA, YES, message_id=late.message_id)
    await stand.reads("send the command again")
    assert {each.who for each in await stand.said(AccessRefused) if each.why == "BAD_CONFIRMATION"} == {
        str(ADA),
        str(CAT),
    }
    assert [each.reason for each in await stand.said(OperatorCommanded)] == ["three"]


async def test_a_question_is_void_when_what_it_was_about_has_changed(stand: Stand) -> None:
    """What has changed is said, and it is asked again; a halt minds the trading state only, flattening what is held."""
    gate, ledger = [await Pen.of(stand.nats, name) for name in ("risk-gate", "ledger")]
    await stand.asks(ADA, "/halt a drill", "HALT?")
    await stand.asks(CAT, f"/flatten {stand.code()} enough", "no seed of yours")
    await stand.asks(ADA, f"/flatten {stand.code()} enough", "FLATTEN?")
    held = PositionChanged(
        instrument="BTC-USDT",
        signed_qty=Decimal("0.25"),
        avg_entry_px=Decimal(100),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        exec_id="1",
        cl_ord_id="2",
    )
    await stand.followed(await ledger.say(held))
    stand.presses(ADA, "Yes, FLATTEN")
    again = await stand.reads(" was held, 0.25 is")
    assert "FLATTEN?" in again.text
    stand.presses(ADA, "Yes, FLATTEN")
    await stand.reads("FLATTEN: nothing has changed yet")
    await stand.asks(ADA, "/halt a drill", "HALT?")
    await stand.followed(await ledger.say(held))
    state = TradingStateChanged(state="REDUCING", previous="ACTIVE", reason="drawdown", author="risk")
    await stand.followed(await gate.say(state))
    stand.presses(ADA, YES)
    await stand.reads("trading was ACTIVE and is REDUCING")
    assert await stand.said(OperatorCommanded) == []
    stand.presses(ADA, YES)
    await stand.reads("HALT: nothing has changed yet")
    assert (await stand.refused("STATE_CHANGED", 1)).who == str(ADA)
    assert await commands_in(stand) == ["OperatorCommanded", "FlattenCommanded"]


async def test_one_resting_entry_or_all_are_taken_back(stand: Stand) -> None:
    """An order is named by the beginning of its id; one that does not rest is not asked about."""
    await stand.asks(ADA, "/cancel they are stale", "take back all")
    stand.presses(ADA, "Yes, CANCEL")
    await stand.reads("CANCEL: nothing has changed yet")
    await stand.asks(ADA, "/cancel 0123456789abcdef because", "0 open orders begin with")
    (said,) = await stand.said(CancelCommanded)
    assert (said.cl_ord_id, said.reason) == ("", "they are stale")
    for bare in ("/resume", "/flatten 123456", "/cancel", "/reduce   "):
        await stand.asks(ADA, bare, "Say why")


# --- one-time codes -----------------------------------------------------------------------------------------------------


async def test_a_dangerous_command_wants_a_code_that_counts_once(stand: Stand) -> None:
    """With the command or after the press; used again it is refused, after a restart too."""
    await stand.asks(ADA, "/resume all is well", "RESUME?")
    stand.presses(ADA, "Yes, RESUME")
    await stand.reads("six digits")
    assert await commands_in(stand) == []
    code = stand.code()
    await stand.asks(ADA, code, "RESUME: nothing has changed yet")
    (said,) = await stand.said(OperatorCommanded)
    assert (said.command, said.reason, said.author) == ("RESUME", "all is well", f"telegram:{ADA}")
    await stand.asks(ADA, f"/resume {code} again", "used already")
    await stand.stop()
    await stand.start()
    await stand.asks(ADA, f"/flatten {code} again", "used already")
    await stand.asks(ADA, f"/flatten {stand.code(1)} enough", "FLATTEN?")
    stand.presses(ADA, "Yes, FLATTEN")
    await stand.reads("FLATTEN: nothing has changed yet")
    assert (await stand.refused("USED_CODE")).who == str(ADA)
    await stand.asks(ADA, code, "I do not know that")


async def test_guessing_codes_locks_out_and_wakes_somebody(stand: Stand) -> None:
    """Five wrong ones, and not even the right one counts; a page says who; a halt still works."""
    wrong = "000000" if stand.code() != "000000" else "000001"
    for _ in range(4):
        await stand.asks(ADA, f"/resume {wrong} now", "not the code of this moment")
    await stand.asks(ADA, f"/resume {wrong} now", "Too many wrong codes")
    await stand.asks(ADA, f"/resume {stand.code()} now", "Too many wrong codes")
    await stand.stop()
    await stand.start()
    await stand.asks(ADA, f"/resume {stand.code()} now", "Too many wrong codes")
    await stand.asks(ADA, "/halt a drill", "HALT?")
    stand.presses(ADA, YES)
    await stand.reads("HALT: nothing has changed yet")
    (alert,) = await stand.said(AlertRaised)
    assert (alert.code, alert.severity) == ("OPERATOR_CODES_LOCKED", "page")
    assert str(ADA) in alert.text
    assert (await stand.refused("BAD_CODE")).count >= 1
    assert wrong not in "".join(str(each) for each in await stand.said(AccessRefused))
    assert [each.command for each in await stand.said(OperatorCommanded)] == ["HALT"]


# --- questions ----------------------------------------------------------------------------------------------------------


async def test_the_bot_tells_what_the_command_line_tells(nats: NatsStack, tmp_path: Path) -> None:
    """The same story, the same numbers; a chart as a picture; buttons lead on."""
    await write(nats, LOG)
    async with standing(nats, tmp_path) as stand:
        write_map(nats.home, nats.url)
        found = await answer_of(nats.home, "status")
        status = await stand.asks(ADA, "/status", "reconciled yes")
        assert f"equity {Decimal(found['equity']):,.2f}" in status.text
        assert f"{found['orders']['open']} open" in status.text
        assert f"{found['orders']['fills']} fills" in status.text
        held = [name for name, each in found["positions"].items() if Decimal(each["signed_qty"])]
        positions = await stand.asks(ADA, "/positions", held[0] if held else "nothing is held")
        assert [name for name in held if name not in positions.text] == []
        story = await stand.asks(ADA, "/trace latest", "intent")
        told = [line.plain.strip() for line in story_text(tell(LOG, newest(LOG)[0]))]
        lines = [line.strip() for line in story.text.splitlines()]
        assert lines[:-1] == told[: len(lines) - 1] or lines == told
        assert len(lines) > 10
        stand.presses(ADA, "Positions", message_id=status.message_id)
        await stand.asks(ADA, "/pnl", f"{Decimal(found['equity']):,.2f}")
        await stand.telegram.chats.until(lambda: any(each.photo for each in stand.telegram.chats.sent))
        picture = next(each.photo for each in stand.telegram.chats.sent if each.photo)
        assert (picture.is_png, picture.width, picture.height) == (True, 800, 500)
        stand.presses(
            ADA,
            next(
                row[0]["text"] for each in stand.telegram.chats.sent for row in each.buttons if "Why" in row[0]["text"]
            ),
        )
        for word, part in (("orders", "wished"), ("risk", "exposure"), ("health", "this door: LIVE"), ("alerts", "")):
            await stand.asks(ADA, f"/{word}", part)
        await stand.asks(ADA, "/trace nothing-like-it", "nothing in this log is called")
        await stand.asks(ADA, "what?", "/help says what I know")
        assert all(len(each.text) <= 4096 for each in stand.telegram.chats.sent)


async def test_a_chat_is_muted_through_the_log(stand: Stand) -> None:
    """What the notifier is to leave out stands in the log, for this chat alone; what is no number of minutes changes nothing."""
    await stand.asks(ADA, "/mute for ever", "Say for how many minutes")
    await stand.asks(ADA, "/mute 60 tickets", "No notes and tickets here until")
    said = await stand.said(MuteCommanded)
    assert [(each.channel, each.level) for each in said] == [(f"telegram.{ADA}", "ticket")]


def test_no_word_moves_money() -> None:
    """The list of words is this one, and a longer one is a decision to be made here."""
    assert (*QUESTIONS, *COMMANDS) == (
        *("status", "positions", "orders", "pnl", "risk", "health", "trace", "alerts", "help"),
        *("halt", "reduce", "resume", "flatten", "cancel"),
    )
    assert set(MEANINGS) == {*QUESTIONS, *COMMANDS, "mute"}
    assert [word for word in MEANINGS if word in WHERE_MONEY_GOES] == []


# --- Telegram is away -----------------------------------------------------------------------------------------------------


async def test_an_outage_of_telegram_loses_and_doubles_no_command(stand: Stand) -> None:
    """What was pressed meanwhile is said once when it is back; polls whose answers were lost are asked again; an answer that was lost comes anyway."""
    await stand.asks(ADA, "/halt one", "HALT?")
    await stand.telegram.stop()
    await stand.until(lambda: not stand.bot.readiness().ready)
    assert "does not answer" in stand.bot.readiness().reasons[0]
    stand.presses(ADA, YES)
    await stand.telegram.start()
    await stand.reads("HALT: nothing has changed yet")
    assert stand.bot.readiness().ready
    await stand.asks(ADA, "/halt two", "HALT?")
    deeds = ("lost", "cut", "error_502_html", "not_json", "other_object", "conflict", "reset")
    stand.telegram.script.play(
        [
            *(Behaviour(do=deed, method="getUpdates") for deed in deeds[:4]),
            Behaviour(do="rate_limited", method="editMessageText", retry_after=1),
            Behaviour(do="error_500", method="editMessageText"),
            Behaviour(do="hang", method="answerCallbackQuery"),
        ]
    )
    stand.presses(ADA, YES)
    await stand.telegram.chats.until(
        lambda: len([each for each in stand.telegram.chats.sent if "HALT: nothing" in each.text]) == 2
    )
    assert [each.reason for each in await stand.said(OperatorCommanded)] == ["one", "two"]


async def test_a_crash_between_hearing_and_confirming_says_nothing_twice(stand: Stand) -> None:
    """Telegram tells the update again; a question from before the restart is not known any more, nothing is said, and what was said is not denied."""
    await stand.asks(ADA, "/halt one", "HALT?")
    await stand.kill()
    stand.presses(ADA, YES)
    await stand.start()
    await stand.reads("asked before a restart")
    assert await commands_in(stand) == []
    assert len(await stand.said(ServiceStarted)) == 2
    await stand.asks(ADA, "/halt two", "two")
    await stand.until(lambda: stand.telegram.is_polled)
    pressed = stand.presses(ADA, YES)
    await stand.reads("HALT: nothing has changed yet")
    await stand.kill()
    (stand.nats.home / "telegram_bot" / "memory.json").unlink()
    stand.telegram.chats.repeat(pressed)
    await stand.start()
    await stand.reads("was said before")
    assert len(await commands_in(stand)) == 1


async def test_without_the_bus_it_shows_what_was_known_and_says_that_nothing_was_said(stand: Stand) -> None:
    """Questions are answered with a warning; a command is refused with what to do instead, and works afterwards."""
    await stand.asks(ADA, "/halt one", "HALT?")
    stand.nats.kill()
    await stand.until(lambda: not stand.bot.readiness().ready)
    await stand.asks(ADA, "/status", "DISCONNECTED")
    stand.presses(ADA, YES)
    await stand.reads("HALT is not known to be said: this door is DISCONNECTED")
    await stand.nats.start(provisioned=False)
    await stand.until(lambda: stand.bot.readiness().ready)
    await stand.asks(ADA, "/halt two", "HALT?")
    stand.presses(ADA, YES)
    await stand.reads("HALT: nothing has changed yet")
    assert [each.reason for each in await stand.said(OperatorCommanded)] == ["two"]
