"""The bot as a process: a door whose people come over Telegram.

Without a token's file there is no bot: the process says so, is ready, and does nothing; aiogram, which costs seconds and a hundred megabytes, is not
even imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from libs.common.messages import AccessRefused, AlertRaised
from libs.desk.desk import Desk
from libs.desk.door import Door
from libs.desk.refusals import Refusals, Refused
from libs.runtime.code_version import tree_version
from libs.runtime.lifetime import live_and_exit
from libs.runtime.settings import settings_or_exit
from libs.runtime.telegram_settings import BOT_VARIABLE
from services.telegram_bot.contract import CONTRACT
from services.telegram_bot.series import Series
from services.telegram_bot.settings import Settings

if TYPE_CHECKING:
    from services.telegram_bot.front import Front

LOCKED = "OPERATOR_CODES_LOCKED"
LOOK_EVERY_S = 0.05
NOT_CONFIGURED = f"not configured: {BOT_VARIABLE} names no file with a token"


def main() -> NoReturn:
    """Run until SIGTERM or SIGINT; exits 0, 70 (a defect), 75 (try again) or 78 (only a human can help)."""
    settings = settings_or_exit(Settings)
    live_and_exit(CONTRACT.service, settings, lambda: TelegramBot(settings))


class TelegramBot(Door):
    """The log in a chat."""

    settings: Settings

    def __init__(self, settings: Settings):
        super().__init__(CONTRACT, settings, settings.health_pages, tree_version())
        self.idle = NOT_CONFIGURED if settings.telegram_token_file is None else ""
        self._series = Series(self._metrics)
        self._front: Front | None = None

    def beside(self, desk: Desk) -> Sequence[Coroutine[Any, Any, object]]:
        """Tell refusals, talk; the conversation ends first, so that whom it turns away last is told."""
        refusals: Refusals[int] = Refusals(
            "telegram", lambda refused: desk.record(_event_of(refused)), lambda user: desk.record(_alert_of(user))
        )
        return refusals.run(), self._talk(desk, refusals)

    @property
    def trouble(self) -> str:
        """Why Telegram does not hear us."""
        return "not polling yet" if self._front is None else self._front.trouble

    async def _talk(self, desk: Desk, refusals: Refusals[int]) -> None:
        code = await asyncio.to_thread(
            import_module, "services.telegram_bot.front"
        )  # takes seconds; the log is read meanwhile
        while desk.phase.state != "LIVE":  # noqa: ASYNC110  (a desk that follows a log sets no event)
            await asyncio.sleep(LOOK_EVERY_S)
        front: Front = code.Front(desk, self.settings, self._series, refusals)
        self._front = front
        await front.run()


def _event_of(refused: Refused) -> AccessRefused:
    kind = refused.kind
    return AccessRefused(
        door=kind.door, who=kind.who, address=refused.where, what=refused.what, why=kind.why, count=refused.count
    )


def _alert_of(user: int) -> AlertRaised:
    text = f"five wrong one-time codes in a row from Telegram user {user}: his dangerous commands are locked for 15 minutes"
    return AlertRaised(code=LOCKED, severity="page", text=text)
