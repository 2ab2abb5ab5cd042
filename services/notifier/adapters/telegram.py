"""Chats of Telegram, each a channel, by aiogram. This module is only imported where Telegram is configured: aiogram costs seconds and 100 MB.

Texts are plain (no parse mode): nothing in them can break a message or dress one up. Messages keep Telegram's pace (pace.py) and obey its 429.
What is not sent within `PERFORM_S_MAX`, because of the pace or because nobody answers, has failed, and the machine decides what follows: an
answer always comes before the breaker takes a probe for lost.

The token is read from its file at the start, before there is a session, and again whenever the server refuses it (401): a new one in the file is
used at once, for the very message that was refused. No answer, log line or error shows a token: what went wrong is told in our words, of the
server's only what it said to a refusal, cut and redacted.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramEntityTooLarge,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import LinkPreviewOptions

from libs.common.messages import Answer, MessageSent, RequestExpired
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.runtime.redaction import redact
from libs.runtime.settings import SettingsError
from services.notifier.adapters.pace import Pace
from services.notifier.requests import UNSURE, SendMessage
from services.notifier.settings import TELEGRAM, Settings

TEXT_CHARS_MAX = 4_096
SEND_S_MAX = 8.0
PERFORM_S_MAX = 28.0
"""Below the time after which a breaker takes its probe for lost."""
TRIES_MAX = 5
CLOSE_S_MAX = 1.0
SAID_CHARS_MAX = 120


class TelegramAdapter:
    """Sends messages as one bot.

    Raises:
        SettingsError: there is no usable token.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._token = settings.telegram_token()
        self._pace = Pace()
        self._bot: Bot
        self._context: AdapterContext

    async def open(self, context: AdapterContext) -> None:
        """Connects with the first message only."""
        self._context = context
        self._token = self._settings.telegram_token()
        api = TelegramAPIServer.from_base(self._settings.telegram_url)
        self._bot = Bot(self._token, session=AiohttpSession(api=api, timeout=SEND_S_MAX))

    async def perform(self, asked: Asked) -> Answer:
        """Send one message to the chat that its channel names.

        Raises:
            TypeError: the request is not a SendMessage (a defect in the machine).
        """
        request = asked.request
        if not isinstance(request, SendMessage):
            raise TypeError(f"Telegram cannot perform {type(request).__name__}")
        detail = await self._sent(request, int(request.channel.removeprefix(TELEGRAM)))
        now = self._context.clock.now()
        if detail is None:
            return RequestExpired(request_id=asked.request_id, ts_event=now, ts_init=now)
        return MessageSent(
            request_id=asked.request_id,
            channel=request.channel,
            ok=not detail,
            detail=redact(detail),
            ts_event=now,
            ts_init=now,
        )

    async def close(self) -> None:
        """Close the connections."""
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._bot.session.close()
        except TimeoutError:
            self._context.logger.warning("telegram_not_closed")

    async def _sent(self, request: SendMessage, chat: int) -> str | None:
        """Empty if it was sent, else what was wrong; None: it had become too old before it could leave."""
        ends = time.monotonic() + PERFORM_S_MAX
        for _ in range(TRIES_MAX):
            if not await self._pace.turn(chat, ends - SEND_S_MAX):
                return f"too many messages for now: nothing may leave for {self._pace.left_s(chat):.0f} s"
            if self._context.clock.now() > request.valid_until:
                return None
            bot = self._bot
            try:
                await bot.send_message(
                    chat,
                    redact(request.text)[:TEXT_CHARS_MAX],
                    parse_mode=None,
                    disable_notification=request.level == "note",
                    link_preview_options=LinkPreviewOptions(is_disabled=True),
                )
            except TelegramRetryAfter as refusal:
                self._pace.hold(chat, refusal.retry_after)
                continue
            except (TelegramUnauthorizedError, TelegramNotFound):
                if bot is not self._bot or self._is_renewed():
                    continue
                return "the token is refused; put a valid one into BULKHEAD_TELEGRAM_TOKEN_FILE"
            except Exception as error:  # noqa: BLE001  one chat's failure must not end the process and every other channel with it
                return what_failed(error)
            return ""
        return "Telegram wanted one try after the other"

    def _is_renewed(self) -> bool:
        """Whether the file holds another token than the one that was refused; it is used from now on."""
        try:
            token = self._settings.telegram_token()
        except SettingsError as refusal:
            self._context.logger.warning("telegram_token_unusable", reason=redact(str(refusal)))
            return False
        if token == self._token:
            return False
        self._token = token
        self._bot = Bot(token, session=self._bot.session)
        self._context.logger.info("telegram_token_renewed")
        return True


def what_failed(error: Exception) -> str:
    """A failure in our words, and whether the message may have arrived; of the server's words those of a refusal, cut and redacted."""
    match error:
        case TelegramMigrateToChat():
            return f"the group is now chat {error.migrate_to_chat_id}; correct BULKHEAD_TELEGRAM_CHATS"
        case TelegramServerError():
            return f"{UNSURE}the server has failed"
        case TelegramEntityTooLarge():
            return "refused: too large"
        case TelegramNetworkError():
            cause = error.__cause__
            if isinstance(cause, aiohttp.ClientConnectorError):
                return "no connection"
            return f"{UNSURE}no answer ({type(cause).__name__})"
        case TelegramAPIError():
            return f"refused: {redact(error.message)[:SAID_CHARS_MAX]}"
        case ClientDecodeError():
            return f"{UNSURE}the answer is not Telegram's"
    return f"{UNSURE}{type(error).__name__}"
