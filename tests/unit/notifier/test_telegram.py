"""Chats of Telegram, by the unmodified aiogram, against an emulated Bot API that fails in every way we know."""

from __future__ import annotations

import asyncio
import io
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from libs.common.messages import Answer, MessageSent, RequestExpired
from libs.common.timeframe import HOUR
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.runtime.redaction import forget_secrets
from services.notifier.adapters import pace, telegram
from services.notifier.adapters.pace import ALL_S, CHAT_S
from services.notifier.adapters.people import PeopleAdapter, TelegramLater
from services.notifier.adapters.telegram import PERFORM_S_MAX, TelegramAdapter
from services.notifier.machine import Memory
from services.notifier.requests import UNSURE
from services.notifier.settings import Settings
from services.telegram_sim.behaviour import Behaviour
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings as SimSettings
from tests.playbook import START
from tests.unit.notifier.edge import StoppedClock, asked, context, logged_to

ADA, BOB = 1001, 1002
CHAT = f"telegram.{ADA}"
FAULTS = (
    *("hang", "reset", "cut", "lost", "error_500", "error_502_html", "unauthorized", "not_found"),
    *("conflict", "cannot_parse", "chat_not_found", "blocked", "too_large", "migrated"),
    *("echoes_token", "not_json", "other_object"),
)
MAY_HAVE_ARRIVED = ("hang", "reset", "cut", "lost", "error_500", "error_502_html", "echoes_token")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace and the patience of a test; the pace itself has tests of its own."""
    monkeypatch.setattr(pace, "CHAT_S", 0.001)
    monkeypatch.setattr(telegram, "SEND_S_MAX", 0.3)


class Stand:
    """A server, its bot's token in a file, and an adapter that is open."""

    def __init__(self, home: Path):
        self.server = TelegramServer(SimSettings(home=home, telegram_sim_chats=(ADA, BOB)))
        self.file = home / "token"
        self.clock = StoppedClock()
        self.registry = CollectorRegistry()
        self.log = io.StringIO()
        self.tokens = [self.server.token]
        self.adapter: PeopleAdapter
        self.sender: TelegramAdapter

    async def open(self) -> None:
        await self.server.start()
        write_secret(self.file, self.server.token)
        self.adapter = PeopleAdapter(self.settings())
        logger = logged_to(self.log)
        lent = context(registry=self.registry, memory=Memory(), clock=self.clock, logger=logger)
        await self.adapter.open(lent)
        later = self.adapter._adapters[CHAT]
        assert isinstance(later, TelegramLater)
        found = await later.opened()
        assert isinstance(found, TelegramAdapter)
        self.sender = found

    def settings(self) -> Settings:
        return Settings(
            notify_channel="telegram",
            telegram_token_file=self.file,
            telegram_chats=(ADA, BOB),
            telegram_url=self.server.url,
        )

    async def close(self) -> None:
        """Without the quarter of a second that aiogram gives TLS to close."""
        session: Any = self.sender._bot.session
        if session._session is not None:
            await session._session.close()
        await self.server.stop()

    def rotate(self) -> None:
        """The operator has asked BotFather for another token, and has not written it down yet."""
        self.tokens.append(self.server.rotate())

    async def told(self, text: str = "trading is HALTED", channel: str = CHAT, **more: Any) -> Answer:
        return await self.adapter.perform(asked(text, channel=channel, **more))

    async def detail(self, *behaviours: Behaviour) -> str:
        """What is said of a message to a server that behaves like this."""
        self.server.script.play(behaviours)
        answer = await self.told()
        assert isinstance(answer, MessageSent)
        assert answer.ok == (not answer.detail)
        return answer.detail

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.server.chats.sent]


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    stand = Stand(tmp_path)
    await stand.open()
    yield stand
    await stand.close()


async def test_a_message_arrives_as_plain_text_in_its_chat(stand: Stand) -> None:
    """Nothing in a text can break the message or dress it up; a secret in it is masked, a long one cut."""
    text = "<b>HALTED</b> *by* _ada_ [link](http://example.com) postgresql://bulkhead:hunter2hunter2@db/ledger"
    answer = await stand.told(text)
    assert answer == MessageSent(request_id="r1", channel=CHAT, ok=True, detail="", ts_event=START, ts_init=START)
    await stand.told("x" * 5_000, f"telegram.{BOB}")
    plain, long = stand.server.chats.sent
    assert (plain.chat, plain.text, plain.parse_mode) == (ADA, text.replace("hunter2hunter2", "[redacted]"), "")
    assert (long.chat, len(long.text)) == (BOB, 4_096)


async def test_only_what_wakes_people_makes_a_sound(stand: Stand) -> None:
    """A note is delivered silently, a page is not."""
    await stand.told(level="note")
    await stand.told(level="page")
    assert [call.fields.get("disable_notification") for call in stand.server.calls] == ["true", "false"]


@pytest.mark.parametrize("deed", FAULTS)
async def test_a_failure_is_an_answer_that_says_whether_it_may_have_arrived(stand: Stand, deed: Any) -> None:
    """Whatever aiogram raises, the process goes on; what may be on the phone already is told as unsure, and nothing else."""
    detail = await stand.detail(Behaviour(do=deed, times=0))
    assert detail
    assert detail.startswith(UNSURE) == (deed in MAY_HAVE_ARRIVED or deed in ("not_json", "other_object"))
    assert await stand.detail() == ""


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("blocked", "refused: Forbidden: bot was blocked by the user"),
        ("chat_not_found", "refused: Bad Request: chat not found"),
        ("migrated", "the group is now chat -1001234567890; correct BULKHEAD_TELEGRAM_CHATS"),
        ("unauthorized", "the token is refused; put a valid one into BULKHEAD_TELEGRAM_TOKEN_FILE"),
        ("hang", "unsure: no answer (TimeoutError)"),
        ("error_502_html", "unsure: the answer is not Telegram's"),
    ],
)
async def test_a_failure_says_what_to_do(stand: Stand, deed: Any, words: str) -> None:
    """An operator who reads the alert knows whether it is Telegram, the chat or the token."""
    assert await stand.detail(Behaviour(do=deed, times=0)) == words


async def test_nobody_there_is_no_connection(stand: Stand) -> None:
    """Provably not sent: it is no repeat when it comes later."""
    await stand.server.stop()
    assert await stand.detail() == "no connection"
    await stand.server.start()
    assert await stand.detail() == ""


async def test_the_server_says_when_and_is_obeyed(stand: Stand) -> None:
    """After a 429 nothing leaves for the chat before its `retry_after` is over; then the same message does. Other chats do not wait."""
    stand.server.script.play([Behaviour(do="rate_limited", retry_after=1)])
    began = time.monotonic()
    first = asyncio.create_task(stand.told("one"))
    await stand.server.chats.until(lambda: bool(stand.server.calls))
    await stand.told("other", f"telegram.{BOB}")
    assert time.monotonic() - began < 0.9
    await stand.told("two", number=2)
    assert isinstance(await first, MessageSent)
    by_text = {each.text: each.at for each in stand.server.chats.sent}
    assert sorted(by_text) == ["one", "other", "two"]
    assert min(by_text["one"], by_text["two"]) >= began + 1.0


async def test_a_long_wait_is_a_failure_and_nothing_is_sent_meanwhile(stand: Stand) -> None:
    """Five minutes are too long to sit on a message: the machine lets it wait, and the server is left alone."""
    assert "nothing may leave for 300 s" in await stand.detail(Behaviour(do="rate_limited", retry_after=300))
    assert "nothing may leave for" in await stand.detail()
    assert len(stand.server.calls) == 1
    assert stand.texts == []


async def test_a_chat_gets_one_message_a_second_in_order(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram's own limit; another chat does not wait for this one."""
    assert (CHAT_S, ALL_S) == (1.0, 0.04)
    monkeypatch.setattr(pace, "CHAT_S", 0.2)
    texts = [f"number {place}" for place in range(4)]
    await asyncio.gather(*(stand.told(text) for text in texts), stand.told("other", f"telegram.{BOB}"))
    sent = [each for each in stand.server.chats.sent if each.chat == ADA]
    assert [each.text for each in sent] == texts
    assert sent[-1].at - sent[0].at >= 0.5
    assert next(each.at for each in stand.server.chats.sent if each.chat == BOB) < sent[1].at


async def test_all_chats_together_get_25_messages_a_second() -> None:
    """However many chats there are."""
    began, turns = time.monotonic(), pace.Pace()
    assert all(await asyncio.gather(*(turns.turn(chat, began + 10) for chat in range(11))))
    assert time.monotonic() - began >= 10 * 0.04 - 0.01


async def test_what_became_too_old_while_it_waited_is_not_sent(stand: Stand) -> None:
    """The clock is looked at again right before the message leaves: it is provably never sent."""
    stand.clock.time = START + 2 * HOUR
    assert isinstance(await stand.told(), RequestExpired)
    assert stand.texts == []


async def test_an_answer_comes_before_the_breaker_gives_its_probe_up(stand: Stand) -> None:
    """30 s is how long a breaker waits for its probe."""
    assert PERFORM_S_MAX < 30


async def test_it_closes_its_connections(stand: Stand) -> None:
    """Within the two seconds that a service has."""
    await stand.told()
    async with asyncio.timeout(2):
        await stand.adapter.close()
    session: Any = stand.sender._bot.session
    assert session._session.closed


# --- rotation ---------------------------------------------------------------------------------------------------------


async def test_a_new_token_in_the_file_is_used_without_a_restart(stand: Stand) -> None:
    """The old token is revoked, the new one written: the very message that was refused arrives, and those after it."""
    assert await stand.detail() == ""
    stand.rotate()
    write_secret(stand.file, stand.server.token)
    assert isinstance(await stand.told("first with the new one"), MessageSent)
    assert await stand.detail() == ""
    assert stand.texts[1] == "first with the new one"
    assert [call.status for call in stand.server.calls] == [200, 401, 200, 200]


async def test_between_revoking_and_writing_messages_fail_and_say_why(stand: Stand) -> None:
    """They wait in the machine; once the file is right they leave. Half-written or open to others it is not used."""
    stand.rotate()
    assert "the token is refused" in await stand.detail()
    write_secret(stand.file, "half a tok")
    assert "the token is refused" in await stand.detail()
    stand.file.unlink()
    assert "the token is refused" in await stand.detail()
    write_secret(stand.file, stand.server.token)
    assert await stand.detail() == ""


async def test_many_messages_meet_one_rotation(stand: Stand) -> None:
    """All that were refused at once are sent with the new token, each of them once."""
    stand.rotate()
    write_secret(stand.file, stand.server.token)
    answers = await asyncio.gather(*(stand.told(f"number {place}") for place in range(5)))
    assert all(isinstance(each, MessageSent) and each.ok for each in answers)
    assert sorted(stand.texts) == [f"number {place}" for place in range(5)]


# --- the token is nowhere ---------------------------------------------------------------------------------------------


async def test_no_failure_shows_the_token(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in an answer, a log line, a traceback, an exception or a metric; not even where nobody had registered it as a secret."""
    seen: list[str] = []
    inner = telegram.what_failed

    def noted(error: Exception) -> str:
        seen.append(f"{inner(error)}")
        stand.adapter._context.logger.error("failed", error=error, shown=repr(error), exc_info=error)
        return inner(error)

    monkeypatch.setattr(telegram, "what_failed", noted)
    for registered in (True, False):
        if not registered:
            forget_secrets()
        for deed in FAULTS:
            stand.server.script.play([Behaviour(do=deed, times=0)])  # type: ignore[arg-type]
            seen.append(repr(await stand.told()))
    stand.server.script.play([])
    stand.rotate()
    seen.append(repr(await stand.told()))
    write_secret(stand.file, stand.server.token)
    seen.append(repr(await stand.told()))
    seen += [stand.log.getvalue(), generate_latest(stand.registry).decode(), repr(stand.adapter.__dict__)]
    assert stand.log.getvalue().count("Traceback") >= len(MAY_HAVE_ARRIVED)
    whole = "\n".join(seen)
    for token in stand.tokens:
        assert token not in whole
        assert token.partition(":")[2] not in whole


async def test_the_exceptions_of_the_client_carry_no_token(stand: Stand) -> None:
    """What a debugger or an error collector would be shown of the failures that are caught."""
    for deed in FAULTS:
        if deed == "echoes_token":
            continue  # the one where the server itself says it: only redaction helps, and the test above shows that it does
        stand.server.script.play([Behaviour(do=deed)])  # type: ignore[arg-type]
        with pytest.raises(Exception) as failed:  # noqa: PT011  any of them
            await stand.sender._bot.send_message(ADA, "one")
        shown = "".join(traceback.format_exception(failed.value)) + repr(failed.value) + repr(vars(failed.value))
        assert stand.tokens[0] not in shown


async def test_it_performs_nothing_else(stand: Stand) -> None:
    """Another kind of request is a defect, not an operating error."""

    class Other(Request, frozen=True, kw_only=True):
        pass

    other = Asked("r1", Other(valid_until=START), 1, 1, "story", "cause")
    for adapter in (stand.adapter, stand.sender):
        with pytest.raises(TypeError, match="Other"):
            await adapter.perform(other)
