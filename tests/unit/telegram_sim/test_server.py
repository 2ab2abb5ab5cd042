"""The emulated Bot API as the unmodified aiogram client meets it, and the strings behind its stage."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import SendDice
from aiogram.types import BotCommand, BufferedInputFile, InlineKeyboardButton, InlineKeyboardMarkup

from libs.runtime import simulator
from services.telegram_sim import run
from services.telegram_sim.behaviour import Behaviour
from services.telegram_sim.server import BOT_ID, TelegramServer
from services.telegram_sim.settings import Settings

ADA = 1001
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4) + bytes(100)
BUTTONS = InlineKeyboardMarkup(
    inline_keyboard=[
        [
            InlineKeyboardButton(text="Yes", callback_data="yes:1"),
            InlineKeyboardButton(text="No", callback_data="no:1"),
        ]
    ]
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TelegramServer]:
    server = TelegramServer(Settings(home=tmp_path))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def bot(server: TelegramServer) -> AsyncIterator[Bot]:
    bot = bot_with(server, server.token)
    yield bot
    await closed(bot)


def bot_with(server: TelegramServer, token: str) -> Bot:
    session = AiohttpSession(api=TelegramAPIServer.from_base(server.url), timeout=5)
    return Bot(token, session=session)


async def closed(bot: Bot) -> None:
    """Without the client's quarter of a second for TLS, of which there is none here."""
    session: Any = bot.session
    if session._session is not None:
        await session._session.close()


async def post(url: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status, await response.json(content_type=None)


async def test_a_bot_says_who_it_is_and_what_it_can_do(server: TelegramServer, bot: Bot) -> None:
    """The calls that a bot makes before it polls."""
    me = await bot.get_me()
    assert (me.id, me.is_bot) == (BOT_ID, True)
    assert await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.set_my_commands([BotCommand(command="status", description="how it stands")])
    assert (await bot.get_chat(ADA)).type == "private"


async def test_what_is_sent_can_be_read(server: TelegramServer, bot: Bot) -> None:
    """Texts with buttons and pictures, as they stand after a change."""
    sent = await bot.send_message(ADA, "halt?", reply_markup=BUTTONS)
    picture = await bot.send_photo(ADA, BufferedInputFile(PNG, "chart.png"), caption="equity")
    await bot.edit_message_text("halted", chat_id=ADA, message_id=sent.message_id)
    await bot.edit_message_reply_markup(chat_id=ADA, message_id=picture.message_id, reply_markup=BUTTONS)
    text, photo = server.chats.sent
    assert (text.chat, text.text, text.buttons, text.edits) == (ADA, "halted", [], 1)
    assert photo.photo is not None
    assert (photo.text, photo.photo.is_png, photo.photo.size) == ("equity", True, len(PNG))
    assert (photo.photo.width, photo.photo.height) == (640, 480)
    assert photo.buttons[0][1] == {"text": "No", "callback_data": "no:1"}


async def test_an_update_comes_again_until_a_later_one_is_asked_for(server: TelegramServer, bot: Bot) -> None:
    """A bot that dies before it has confirmed is told again; confirmed ones are forgotten."""
    first = server.chats.say(ADA, "/status")
    second = server.chats.say(ADA, "/halt now")
    for _ in range(2):
        assert [each.update_id for each in await bot.get_updates()] == [first, second]
    assert [each.update_id for each in await bot.get_updates(offset=second)] == [second]
    assert [each.update_id for each in await bot.get_updates()] == [second]
    assert await bot.get_updates(offset=second + 1) == []
    assert await bot.get_updates() == []


async def test_a_poll_waits_for_what_is_said(server: TelegramServer, bot: Bot) -> None:
    """Nothing is answered while nothing is there; what is said ends the wait at once."""
    polling = asyncio.create_task(bot.get_updates(timeout=30))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(polling), 0.05)
    server.chats.say(ADA, "hello")
    (update,) = await asyncio.wait_for(polling, 2)
    assert update.message is not None
    assert (update.message.text, update.message.chat.type) == ("hello", "private")


async def test_a_second_poller_ends_the_first(server: TelegramServer, bot: Bot) -> None:
    """Two bots with one token: the older poll is told of the conflict."""
    older = asyncio.create_task(bot.get_updates(timeout=30))
    await server.chats.until(lambda: server.is_polled)
    newer = asyncio.create_task(bot.get_updates(timeout=30))
    with pytest.raises(TelegramConflictError):
        await asyncio.wait_for(older, 2)
    server.chats.say(ADA, "hello")
    assert len(await asyncio.wait_for(newer, 2)) == 1


async def test_a_message_says_where_it_is_from(server: TelegramServer, bot: Bot) -> None:
    """Forwarded, from a group, from long ago: what a bot has to look at before it obeys."""
    server.chats.say(ADA, "/halt", forwarded=666, date=1_700_000_000)
    server.chats.say(ADA, "/halt", chat=-5)
    forwarded, grouped = [each.message for each in await bot.get_updates()]
    assert forwarded is not None
    assert forwarded.forward_origin is not None
    assert int(forwarded.date.timestamp()) == 1_700_000_000
    assert grouped is not None
    assert (grouped.chat.id, grouped.chat.type) == (-5, "group")
    assert grouped.forward_origin is None


async def test_a_button_is_pressed_and_answered_once(server: TelegramServer, bot: Bot) -> None:
    """The data of the button comes back, a changed client's too, and only a press that happened can be answered."""
    await bot.send_message(ADA, "halt?", reply_markup=BUTTONS)
    server.chats.press(ADA, "Yes")
    server.chats.press(ADA, "no:1", forged="yes:2")
    pressed, forged = [each.callback_query for each in await bot.get_updates()]
    assert pressed is not None
    assert forged is not None
    assert (pressed.data, pressed.from_user.id, forged.data) == ("yes:1", ADA, "yes:2")
    assert await bot.answer_callback_query(pressed.id, "done", show_alert=True)
    assert [(each.text, each.is_alert) for each in server.chats.answered] == [("done", True)]
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_callback_query(pressed.id)
    with pytest.raises(LookupError):
        server.chats.press(ADA, "Perhaps")


async def test_a_confirmed_update_can_be_replayed(server: TelegramServer, bot: Bot) -> None:
    """It comes once more with its old number, which is how a bot knows it."""
    update_id = server.chats.say(ADA, "/halt")
    await bot.get_updates(offset=update_id + 1)
    server.chats.repeat(update_id)
    assert [each.update_id for each in await bot.get_updates(offset=update_id + 1)] == [update_id]
    assert await bot.get_updates(offset=update_id + 1) == []


async def test_a_token_that_does_not_count_is_refused_in_telegrams_words(server: TelegramServer, bot: Bot) -> None:
    """401 for one that was revoked, 404 for what is no token; the new one works."""
    new = server.rotate()
    with pytest.raises(TelegramUnauthorizedError, match=r"says - Unauthorized$"):
        await bot.send_message(ADA, "hello")
    changed = bot_with(server, new)
    await changed.send_message(ADA, "hello")
    await closed(changed)
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/botnonsense/getMe") as response:
        assert (response.status, (await response.json())["description"]) == (404, "Not Found")
    assert server.token not in repr(server.calls)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour(do="rate_limited", retry_after=7), TelegramRetryAfter),
        (Behaviour(do="error_500"), TelegramServerError),
        (Behaviour(do="error_502_html"), ClientDecodeError),
        (Behaviour(do="unauthorized"), TelegramUnauthorizedError),
        (Behaviour(do="cannot_parse"), TelegramBadRequest),
        (Behaviour(do="chat_not_found"), TelegramBadRequest),
        (Behaviour(do="blocked"), TelegramForbiddenError),
        (Behaviour(do="migrated"), TelegramAPIError),
        (Behaviour(do="reset"), TelegramNetworkError),
        (Behaviour(do="echoes_token"), TelegramServerError),
        (Behaviour(do="not_json"), ClientDecodeError),
        (Behaviour(do="other_object"), ClientDecodeError),
    ],
    ids=lambda each: each.do if isinstance(each, Behaviour) else "",
)
async def test_it_fails_as_scripted_and_sends_nothing(
    server: TelegramServer, bot: Bot, behaviour: Behaviour, error: type[Exception]
) -> None:
    """The failure is for one message only, whatever else the bot asks; the next message arrives."""
    server.script.play([Behaviour(**{**_fields(behaviour), "method": "sendMessage"})])
    await bot.get_me()
    with pytest.raises(error):
        await bot.send_message(ADA, "one")
    assert server.chats.sent == []
    await bot.send_message(ADA, "two")
    assert [each.text for each in server.chats.sent] == ["two"]


def _fields(behaviour: Behaviour) -> dict[str, Any]:
    return {name: getattr(behaviour, name) for name in behaviour.__struct_fields__}


@pytest.mark.parametrize("deed", ["lost", "cut"])
async def test_a_message_may_have_arrived_though_the_answer_did_not(
    server: TelegramServer, bot: Bot, deed: Any
) -> None:
    """The client sees a broken connection; the chat sees the message."""
    server.script.play([Behaviour(do=deed)])
    with pytest.raises((TelegramNetworkError, aiohttp.ClientError)):
        await bot.send_message(ADA, "one")
    assert [each.text for each in server.chats.sent] == ["one"]


async def test_a_hanging_server_answers_nothing(server: TelegramServer, bot: Bot) -> None:
    """Only the client's patience ends it, and nothing was sent."""
    server.script.play([Behaviour(do="hang")])
    with pytest.raises(TelegramNetworkError, match="timeout"):
        await bot.send_message(ADA, "one", request_timeout=1)
    assert server.chats.sent == []


async def test_what_telegram_does_not_take_is_refused(server: TelegramServer, bot: Bot) -> None:
    """Lengths, unknown chats, unchanged texts, data too long for a button, pictures that are none, methods not known."""
    with pytest.raises(TelegramBadRequest, match="message is too long"):
        await bot.send_message(ADA, "x" * 4_097)
    with pytest.raises(TelegramBadRequest, match="text is empty"):
        await bot.send_message(ADA, " ")
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(4242, "hello")
    sent = await bot.send_message(ADA, "hello")
    with pytest.raises(TelegramBadRequest, match="not modified"):
        await bot.edit_message_text("hello", chat_id=ADA, message_id=sent.message_id)
    with pytest.raises(TelegramBadRequest, match="not found"):
        await bot.edit_message_text("hello", chat_id=ADA, message_id=99)
    long_button = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="x", callback_data="y" * 65)]])
    with pytest.raises(TelegramBadRequest, match="BUTTON_DATA_INVALID"):
        await bot.send_message(ADA, "hello", reply_markup=long_button)
    with pytest.raises(TelegramBadRequest, match="IMAGE_PROCESS_FAILED"):
        await bot.send_photo(ADA, BufferedInputFile(b"GIF89a", "chart.png"))
    with pytest.raises(TelegramNotFound, match="method not found"):
        await bot(SendDice(chat_id=ADA))
    server.chats.blocked.add(ADA)
    with pytest.raises(TelegramForbiddenError, match="blocked by the user"):
        await bot.send_message(ADA, "hello")


async def test_everything_behind_the_stage_has_an_address(server: TelegramServer, bot: Bot) -> None:
    """Script, people, replays and tokens by HTTP, for demos and for other processes; mistakes are answered in words."""
    sim = f"{server.url}/sim"
    script = {"script": [{"do": "rate_limited", "retry_after": 2, "method": "sendMessage"}]}
    assert await post(f"{sim}/script", script) == (200, {"behaviours": 1})
    with pytest.raises(TelegramRetryAfter) as limited:
        await bot.send_message(ADA, "one")
    assert limited.value.retry_after == 2
    await bot.send_message(ADA, "two", reply_markup=BUTTONS)
    _, said = await post(f"{sim}/say", {"user": ADA, "text": "/status"})
    _, pressed = await post(f"{sim}/press", {"user": ADA, "button": "No"})
    assert [each.update_id for each in await bot.get_updates()] == [said["update_id"], pressed["update_id"]]
    await bot.get_updates(offset=pressed["update_id"] + 1)
    assert (await post(f"{sim}/repeat", said))[0] == 200
    assert len(await bot.get_updates(offset=pressed["update_id"] + 1)) == 1
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{sim}/sent") as response:
            told = await response.json()
        await session.delete(f"{sim}/sent")
    assert [each["text"] for each in told["sent"]] == ["two"]
    assert [each["status"] for each in told["calls"] if each["method"] == "sendMessage"] == [429, 200]
    assert server.chats.sent == []
    assert (await post(f"{sim}/tokens", {"revoke": [server.token]}))[1] == {"tokens": 0}
    for place, body in (("script", {"script": [{"do": "explode"}]}), ("press", {"user": ADA, "button": "?"})):
        status, answer = await post(f"{sim}/{place}", body)
        assert (status, bool(answer["error"])) == (400, True)


# --- as a process ---------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BULKHEAD_HOME", str(tmp_path))
    monkeypatch.setattr(
        simulator, "configure", lambda *_: None
    )  # the logging of a process is not the logging of a test
    return tmp_path


def test_a_signal_ends_it(home: Path) -> None:
    """SIGTERM is the ordinary end; port and token are written down, the token for its owner alone."""
    token = home / "telegram_sim" / "token"

    def end_once_open() -> None:
        while not (token.exists() and token.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_once_open, daemon=True).start()
    run.main()
    assert int((home / "telegram_sim" / "port").read_text()) > 0
    assert token.stat().st_mode & 0o777 == 0o600


def test_a_port_that_is_not_its_own_stops_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 78, with a line that says why."""
    monkeypatch.setenv("BULKHEAD_TELEGRAM_SIM_HOST", "192.0.2.1")
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 78


def test_it_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks for help gets it, and not a server that says nothing."""
    with pytest.raises(SystemExit) as ended:
        run.main(["--help"])
    assert ended.value.code == 2
    assert "BULKHEAD_TELEGRAM_SIM_CHATS" in capsys.readouterr().err
