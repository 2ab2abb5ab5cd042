"""The bot as a process: settings, the desk, the conversation, health, signals, exit codes.

Without a token's file there is no bot: the process says so, is ready, and does nothing; aiogram, which costs seconds and a hundred megabytes, is not
even imported.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

import uvloop

from libs.common.messages import AccessRefused, AlertRaised
from libs.desk.desk import Desk
from libs.desk.refusals import Refusals, Refused
from libs.runtime import logs
from libs.runtime.bus import BusError
from libs.runtime.clock import ClockUnavailable, open_clock
from libs.runtime.code_version import tree_version
from libs.runtime.health import HealthServer
from libs.runtime.live import PortTaken
from libs.runtime.metrics import ServiceMetrics
from libs.runtime.nats_config import KeysError, check_key
from libs.runtime.process import EX_OK, EX_SOFTWARE, EX_TEMPFAIL
from libs.runtime.readiness import Readiness
from libs.runtime.redaction import redact
from libs.runtime.settings import EX_CONFIG, SettingsError, settings_in_question, settings_or_exit
from libs.runtime.telegram_settings import BOT_VARIABLE
from services.telegram_bot.contract import CONTRACT
from services.telegram_bot.series import Series
from services.telegram_bot.settings import Settings

if TYPE_CHECKING:
    from services.telegram_bot.front import Front

LOCKED = "OPERATOR_CODES_LOCKED"
LOOK_EVERY_S = 0.05
NOT_CONFIGURED = f"not configured: {BOT_VARIABLE} names no file with a token"


class TelegramBot:
    """One life of the bot: `run` until `stop`."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.port = 0
        self._stopping = asyncio.Event()
        self._metrics = ServiceMetrics(CONTRACT.service)
        self._series = Series(self._metrics)
        self._clock = open_clock(settings.clock_url)
        self._desk: Desk | None = None
        self._front: Front | None = None
        self._code_version = tree_version()
        self._log = logs.structlog.get_logger(__name__)

    def stop(self) -> None:
        """End soon, and cleanly."""
        self._stopping.set()

    async def run(self) -> None:
        """Until told to stop.

        Raises:
            KeysError, SettingsError: only a human can help. BusError, ClockUnavailable, PortTaken: begin again.
        """
        settings = self.settings
        check_key(settings.home, CONTRACT.service)
        health = HealthServer(settings.http_host, settings.http_port, self.readiness, self._metrics)
        await self._listen(health)
        try:
            if settings.telegram_token_file is None:
                self._log.info("telegram_not_configured", reason=NOT_CONFIGURED)
                await self._stopping.wait()
            else:
                await self._serve()
        finally:
            await self._clock.close()
            await health.stop()

    def readiness(self) -> Readiness:
        """Ready while the log is followed and Telegram answers; or when there is nothing to do."""
        if self.settings.telegram_token_file is None:
            return Readiness(ready=True, reasons=[NOT_CONFIGURED], quiescent=True, code_version=self._code_version)
        if self._desk is None:
            return Readiness(ready=False, reasons=["starting"], code_version=self._code_version)
        phase, reasons = self._desk.phase, []
        if phase.state != "LIVE":
            reasons.append(f"{phase.state}: {phase.reason}")
        elif self._front is None or self._front.trouble:
            reasons.append(self._front.trouble if self._front is not None else "not polling yet")
        return Readiness(
            ready=not reasons,
            reasons=reasons,
            processed_seq=phase.processed_seq,
            lag=phase.lag,
            quiescent=not phase.lag,
            code_version=self._code_version,
        )

    def exposition(self) -> str:
        """What /metrics shows."""
        self._metrics.observe(self.readiness())
        return self._metrics.exposition()[0].decode()

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _listen(self, health: HealthServer) -> None:
        host, port = self.settings.http_host, self.settings.http_port
        try:
            self.port = await health.start()
        except OSError as error:
            text = (
                f"BULKHEAD_HTTP_HOST, BULKHEAD_HTTP_PORT: got {host!r}, {port}; cannot listen there: {error.strerror}"
            )
            raise (PortTaken if error.errno == errno.EADDRINUSE else SettingsError)(text) from None
        self._log.info("listening", port=self.port)

    async def _serve(self) -> None:
        settings = self.settings
        await self._clock.connect()
        desk = self._desk = Desk(CONTRACT, settings, self._clock, settings.health_pages)
        refusals = Refusals("telegram", self._tell, self._tell_locked)
        following = asyncio.create_task(desk.run(), name="desk")
        talking = asyncio.create_task(self._talk(desk, refusals), name="talk")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait({following, talking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, talking, following):  # the last words of the conversation want the desk
                task.cancel()
                await asyncio.wait({task})
            desk.close()
        for task in (following, talking):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _talk(self, desk: Desk, refusals: Refusals[int]) -> None:
        code = await asyncio.to_thread(
            import_module, "services.telegram_bot.front"
        )  # takes seconds; the log is read meanwhile
        while desk.phase.state != "LIVE":  # noqa: ASYNC110  (a desk that follows a log sets no event)
            await asyncio.sleep(LOOK_EVERY_S)
        front: Front = code.Front(desk, self.settings, self._series, refusals)
        self._front = front
        telling = asyncio.create_task(refusals.run(), name="refusals")
        try:
            await front.run()
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    async def _tell(self, refused: Refused) -> None:
        assert self._desk is not None
        kind = refused.kind
        message = AccessRefused(
            door=kind.door, who=kind.who, address=refused.where, what=refused.what, why=kind.why, count=refused.count
        )
        await self._desk.record(message)

    async def _tell_locked(self, user: int) -> None:
        assert self._desk is not None
        text = f"five wrong one-time codes in a row from Telegram user {user}: his dangerous commands are locked for 15 minutes"
        await self._desk.record(AlertRaised(code=LOCKED, severity="page", text=text))


async def serve(bot: TelegramBot) -> int:
    """Run the bot until SIGTERM or SIGINT; returns the exit code."""
    logger = logs.configure(CONTRACT.service, bot.settings.log_level)
    exit_code = EX_OK
    for question in settings_in_question(bot.settings):
        logger.warning("setting_in_question", reason=question)
    try:
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, bot.stop)
        await bot.run()
    except* (KeysError, SettingsError) as group:
        print(f"bulkhead refuses to start:\n{redact(str(group.exceptions[0]))}", file=sys.stderr)
        exit_code = EX_CONFIG
    except* (BusError, ClockUnavailable, PortTaken) as group:
        logger.error("ended", reason=[str(error) for error in group.exceptions])
        exit_code = EX_TEMPFAIL
    except* Exception as group:  # crash-only: whatever it was, it is told in full and the process ends
        logger.error("crashed", exc_info=group)
        exit_code = EX_SOFTWARE
    return exit_code


def main() -> None:
    """Run the bot; exits 0, 70 (a defect), 75 (try again) or 78 (only a human can help)."""
    settings = settings_or_exit(Settings)
    sys.exit(uvloop.run(serve(TelegramBot(settings))))
