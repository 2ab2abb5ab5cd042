"""The bot as it is, with aiogram as it is, between a real bus and an emulated Telegram; and what people do there.

async with standing(nats, tmp_path) as stand:
    stand.says(ADA, "/halt a drill")
    await stand.reads("HALT?")             # a message of the bot's that contains this, that was not read before
    stand.presses(ADA, "Yes, HALT")
    (commanded,) = await stand.in_log(OperatorCommanded)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyotp

import services.telegram_bot.front  # noqa: F401  (takes seconds: not while a test waits)
from libs.common.messages import AccessRefused, Message
from libs.desk.index import Wanted
from libs.desk.story_target import decoded
from services.telegram_bot.confirmations import Confirmations
from services.telegram_bot.run import TelegramBot
from services.telegram_bot.settings import Settings
from services.telegram_sim.chats import Sent
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings as SimSettings
from tests.nats_stack import NatsStack

ADA, BOB, CAT, EVE = 1001, 1002, 1003, 666
"""Ada may command, Bob may look, Cat may command but has no seed, Eve is nobody."""
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PATIENCE_S = 20.0

M = TypeVar("M", bound=Message)


class Stand:
    """One bot at a time, and its Telegram."""

    def __init__(self, nats: NatsStack, home: Path, telegram: TelegramServer, **settings: Any):
        self.nats, self.home, self.telegram = nats, home, telegram
        self.given = settings
        self.read = 0
        self.bot: TelegramBot
        self.running: asyncio.Task[None]

    @property
    def token_file(self) -> Path:
        """Where the bot finds its token."""
        return self.home / "bot-token"

    async def start(self) -> None:
        """Begin a life of the bot; it polls when this returns."""
        settings = {
            "home": self.nats.home,
            "nats_url": self.nats.url,
            "telegram_token_file": self.token_file,
            "telegram_totp_file": self.home / "seeds",
            "telegram_url": self.telegram.url,
            "telegram_users": f"{ADA}:operate,{BOB}:read,{CAT}:operate",
            "telegram_answer_s_max": 2.0,
            "telegram_command_wait_s": 0.0,
            "telegram_rate": 200,
            "telegram_rate_dangerous": 50,
        }
        self.bot = TelegramBot(Settings(**{**settings, **self.given}))
        self.running = asyncio.create_task(self.bot.run())
        await self.until(lambda: self.running.done() or self.bot.readiness().ready)
        if self.running.done():
            self.running.result()

    async def stop(self) -> None:
        """End this life cleanly."""
        self.bot.stop()
        await asyncio.wait_for(self.running, PATIENCE_S)

    async def kill(self) -> None:
        """End this life as a crash would, as far as that can be done to a task."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    @property
    def confirmations(self) -> Confirmations:
        """What waits to be confirmed."""
        assert self.bot._front is not None
        return self.bot._front._dialogue._confirmations

    # --- people -----------------------------------------------------------------------------------------------------

    def says(self, user: int, text: str, **more: Any) -> int:
        """Somebody writes; returns the update's number."""
        return self.telegram.chats.say(user, text, **more)

    def presses(self, user: int, button: str, **more: Any) -> int:
        """Somebody presses a button."""
        return self.telegram.chats.press(user, button, **more)

    async def reads(self, part: str, chat: int = ADA) -> Sent:
        """The next message (new or changed) to a chat that contains `part`."""
        return (await self._found(part, chat))[0]

    async def _found(self, part: str, chat: int) -> list[Sent]:
        found: list[Sent] = []

        def is_there() -> bool:
            found[:] = [each for each in reversed(self.telegram.chats.sent) if each.chat == chat and part in each.text]
            return bool(found)

        await self.telegram.chats.until(is_there, PATIENCE_S)
        return found

    async def asks(self, user: int, text: str, part: str) -> Sent:
        """Somebody writes, and reads an answer with `part` that comes after it."""
        count = len(self.telegram.chats.sent)
        self.says(user, text)

        def answers() -> list[Sent]:
            return [each for each in self.telegram.chats.sent[count:] if each.chat == user and part in each.text]

        await self.telegram.chats.until(lambda: bool(answers()), PATIENCE_S)
        return answers()[0]

    def code(self, steps: int = 0) -> str:
        """Ada's one-time code now, or so many steps later."""
        return pyotp.TOTP(SEED).at(int(time.time()) + 30 * steps)

    # --- what came of it --------------------------------------------------------------------------------------------

    async def said(self, kind: type[M]) -> list[M]:
        """Everything of a kind that the bot has said to the log so far, oldest first."""
        desk = self.bot._desk
        assert desk is not None
        tail = await self.nats.last_seq()
        await self.until(lambda: desk.phase.processed_seq >= tail)
        rows: list[Any] = []
        async with asyncio.timeout(PATIENCE_S):
            while not rows or rows[0].seq < tail:
                rows = await desk.page(Wanted(), 500)
        found = [decoded(row.entry) for row in rows if row.producer == "ops.telegram" and row.entry is not None]
        return [each for each in reversed(found) if isinstance(each, kind)]

    async def refused(self, why: str, count: int = 1) -> AccessRefused:
        """The first refusal of this kind on record, once there are `count` of them."""
        found: list[AccessRefused] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                found = [each for each in await self.said(AccessRefused) if each.why == why]
                await asyncio.sleep(0.02)
        return found[0]

    async def followed(self, seq: int) -> None:
        """Return once the bot's desk has read so far."""
        desk = self.bot._desk
        assert desk is not None
        await self.until(lambda: desk.phase.processed_seq >= seq)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for it, boundedly."""
        await until(is_so)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for it, boundedly."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  (a desk that follows a log sets no event)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def standing(nats: NatsStack, home: Path, **settings: Any) -> AsyncIterator[Stand]:
    """A bot that polls; `settings` beside or instead of the usual ones."""
    telegram = TelegramServer(SimSettings(home=home, telegram_sim_chats=(ADA, BOB, CAT)))
    await telegram.start()
    stand = Stand(nats, home, telegram, **settings)
    write_secret(stand.token_file, telegram.token)
    write_secret(home / "seeds", f"{ADA}:{SEED}")
    try:
        await stand.start()
        yield stand
    finally:
        await stand.kill()
        await telegram.stop()
