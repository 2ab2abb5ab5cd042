"""The one place that speaks to Telegram: aiogram's client, unmodified, and a token that may change while we run.

    call ──▶ answered
         ──▶ 401: the token's file is read again; another token ──▶ once more with it, the same ──▶ UNAUTHORIZED
         ──▶ everything else that can go wrong becomes one `Trouble` with a slug, and no text of Telegram's or of the network's

The token stands in the address of every request, so errors of clients and proxies may repeat it. No such text leaves this module: not into a log line,
a metric or an answer; and whatever else in this process writes lines has them masked (libs/runtime/redaction.py), because the token was read as a secret.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import structlog
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramUnauthorizedError,
)
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    CallbackQuery,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    Update,
)

from libs.runtime.settings import SettingsError
from libs.runtime.telegram_settings import token_in
from services.telegram_bot.incoming import Incoming, Reply
from services.telegram_bot.series import Series
from services.telegram_bot.settings import Settings

Slug = Literal["UNAUTHORIZED", "CONFLICT", "RATE_LIMITED", "REFUSED", "UNREACHABLE"]
KINDS = ["message", "edited_message", "callback_query"]
RETRY_S_MAX = 60.0
CLOSE_S_MAX = 1.0
IN_WORDS: dict[Slug, str] = {
    "UNAUTHORIZED": "Telegram does not know the token",
    "CONFLICT": "another program polls with the same token",
    "RATE_LIMITED": "Telegram asks for patience",
    "REFUSED": "Telegram refuses this request",
    "UNREACHABLE": "Telegram does not answer as it should",
}

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Trouble(Exception):
    """Telegram did not do it, or nobody knows; `wait_s` is what it asks for (0: nothing)."""

    def __init__(self, slug: Slug, wait_s: float = 0.0):
        super().__init__(IN_WORDS[slug])
        self.slug, self.wait_s = slug, wait_s


class Wire:
    """A bot of Telegram's. The token is read when it is made, and again when Telegram does not know it any more."""

    def __init__(self, settings: Settings, series: Series):
        if settings.telegram_token_file is None:
            raise ValueError("there is no token: the bot is not configured")
        self._path = settings.telegram_token_file
        self._settings = settings
        self._series = series
        self._server = TelegramAPIServer.from_base(settings.telegram_url)
        self._token = token_in(self._path)
        self._bot = self._bot_with(self._token)
        self._reading = asyncio.Lock()

    @property
    def bot_id(self) -> int:
        """The number of the bot that the token is of."""
        return int(self._bot.id)

    async def close(self) -> None:
        """Let go of the connections."""
        await _close(self._bot)

    # --- hearing ----------------------------------------------------------------------------------------------------

    async def updates(self, from_id: int, *, is_quick: bool) -> list[Incoming]:
        """What was said, from this number on (0: everything that waits); unless `is_quick`, waits for it as long as a poll lasts.

        Raises:
            Trouble
        """
        poll_s = 0 if is_quick else self._settings.telegram_poll_s
        given_s = math.ceil(poll_s + self._settings.telegram_answer_s_max)
        found = await self._call(
            "getUpdates",
            lambda bot: bot.get_updates(
                offset=from_id or None, timeout=poll_s, allowed_updates=KINDS, request_timeout=given_s
            ),
        )
        return [incoming_of(update) for update in found]

    # --- saying -----------------------------------------------------------------------------------------------------

    async def introduce(self, meanings: dict[str, str]) -> None:
        """Tell the app which commands there are.

        Raises:
            Trouble
        """
        commands = [BotCommand(command=word, description=text) for word, text in meanings.items()]
        await self._call("setMyCommands", lambda bot: bot.set_my_commands(commands))

    async def send(self, chat: int, reply: Reply) -> None:
        """A message of its own.

        Raises:
            Trouble
        """
        await self._call(
            "sendMessage",
            lambda bot: bot.send_message(
                chat, reply.text, reply_markup=_markup(reply), link_preview_options=LinkPreviewOptions(is_disabled=True)
            ),
        )

    async def show(self, chat: int, picture: bytes) -> None:
        """A picture.

        Raises:
            Trouble
        """
        await self._call("sendPhoto", lambda bot: bot.send_photo(chat, BufferedInputFile(picture, "chart.png")))

    async def replace(self, chat: int, message_id: int, reply: Reply) -> None:
        """In the place of a message of ours.

        Raises:
            Trouble
        """
        await self._call(
            "editMessageText",
            lambda bot: bot.edit_message_text(
                reply.text,
                chat_id=chat,
                message_id=message_id,
                reply_markup=_markup(reply),
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            ),
        )

    async def acknowledge(self, query_id: str) -> None:
        """The pressed button stops spinning.

        Raises:
            Trouble
        """
        await self._call("answerCallbackQuery", lambda bot: bot.answer_callback_query(query_id))

    # --- one call ---------------------------------------------------------------------------------------------------

    async def _call(self, method: str, act: Callable[[Bot], Awaitable[T]]) -> T:
        used, bot_id = self._token, self.bot_id
        try:
            return await self._tried(method, act)
        except Trouble as trouble:
            if trouble.slug != "UNAUTHORIZED" or not await self._has_other_token(used) or self.bot_id != bot_id:
                raise  # of another bot's, what is asked means something else: its updates have other numbers
        return await self._tried(method, act)

    async def _tried(self, method: str, act: Callable[[Bot], Awaitable[T]]) -> T:
        try:
            found = await act(self._bot)
        except (AiogramError, OSError, TimeoutError, ValueError) as error:
            trouble = _trouble_of(error)
            self._series.asked(method, trouble.slug)
            raise trouble from None
        self._series.asked(method, "OK")
        return found

    async def _has_other_token(self, used: str) -> bool:
        """Whether there is another token than the one that was used; its file is read again."""
        async with self._reading:
            if self._token != used:  # somebody else has just read it
                return True
            self._series.token_read()
            try:
                token = await asyncio.to_thread(token_in, self._path)
            except SettingsError as error:
                _log.warning("telegram_token_unusable", reason=str(error))
                return False
            _log.warning("telegram_token_read_again", is_new=token != used)
            if token == used:
                return False
            before, self._token, self._bot = self._bot, token, self._bot_with(token)
            await _close(before)
            return True

    def _bot_with(self, token: str) -> Bot:
        session = AiohttpSession(api=self._server, timeout=self._settings.telegram_answer_s_max)
        return Bot(token, session=session)


def incoming_of(update: Update) -> Incoming:
    """An update in our own words."""
    if update.callback_query is not None:
        return _press(update.update_id, update.callback_query)
    if update.edited_message is not None:
        return _written(update.update_id, update.edited_message, is_edited=True)
    if update.message is not None:
        return _written(update.update_id, update.message, is_edited=update.message.edit_date is not None)
    return Incoming(update_id=update.update_id, kind="other")


def _written(update_id: int, message: Message, *, is_edited: bool) -> Incoming:
    sender = message.from_user
    return Incoming(
        update_id=update_id,
        kind="edited_message" if is_edited else "message" if message.text else "other",
        user=0 if sender is None else sender.id,
        chat=message.chat.id,
        is_private=message.chat.type == "private",
        is_bot=sender is not None and sender.is_bot,
        is_forwarded=message.forward_origin is not None or bool(message.is_automatic_forward),
        is_via_bot=message.via_bot is not None or message.sender_chat is not None,
        sent_at=int(message.date.timestamp()),
        message_id=message.message_id,
        text=message.text or "",
    )


def _press(update_id: int, query: CallbackQuery) -> Incoming:
    under = query.message
    return Incoming(
        update_id=update_id,
        kind="press",
        user=query.from_user.id,
        chat=0 if under is None else under.chat.id,
        is_private=under is not None and under.chat.type == "private",
        is_bot=query.from_user.is_bot,
        message_id=0 if under is None else under.message_id,
        data=query.data or "",
        query_id=query.id,
    )


def _markup(reply: Reply) -> InlineKeyboardMarkup | None:
    if not reply.buttons:
        return None
    rows = [[InlineKeyboardButton(text=each.text, callback_data=each.data) for each in row] for row in reply.buttons]
    return InlineKeyboardMarkup(inline_keyboard=rows)


def _trouble_of(error: Exception) -> Trouble:
    match error:
        case TelegramRetryAfter():
            return Trouble("RATE_LIMITED", min(float(error.retry_after), RETRY_S_MAX))
        case TelegramUnauthorizedError() | TelegramNotFound():  # 404: what there is was never a token of Telegram's
            return Trouble("UNAUTHORIZED")
        case TelegramConflictError():
            return Trouble("CONFLICT")
        case TelegramBadRequest() | TelegramForbiddenError() | TelegramEntityTooLarge() | TelegramMigrateToChat():
            return Trouble("REFUSED")
    return Trouble("UNREACHABLE")


async def _close(bot: Bot) -> None:
    """Without the quarter of a second that aiogram waits for TLS, when it takes long."""
    session: Any = bot.session
    try:
        async with asyncio.timeout(CLOSE_S_MAX):
            await session.close()
    except TimeoutError:
        _log.warning("telegram_not_closed")
