"""The emulated Bot API as a process: settings, logs, signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog
import uvloop

from libs.runtime.logs import configure
from libs.runtime.settings import EX_CONFIG, settings_or_exit
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings

EX_USAGE = 2
VARIABLES = "BULKHEAD_TELEGRAM_SIM_PORT, BULKHEAD_TELEGRAM_SIM_CHATS and BULKHEAD_HOME"

_log = structlog.get_logger(__name__)


def main(words: Sequence[str] = ()) -> None:
    """Run until SIGTERM or SIGINT; exit code 78 with a clear line when it cannot listen, 2 for `words` on its command line."""
    if words:
        print(f"telegram_sim takes no arguments, got {' '.join(words)}; it is told by {VARIABLES}", file=sys.stderr)
        raise SystemExit(EX_USAGE)
    settings = settings_or_exit(Settings)
    configure("telegram-sim", settings.log_level)
    try:
        uvloop.run(_serve(settings))
    except OSError as error:
        print(f"telegram_sim refuses to start: {error}", file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = TelegramServer(settings)
    port = await server.start()
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (settings.folder / "port").write_text(f"{port}\n")
    write_secret(settings.folder / "token", server.token)
    _log.info("telegram_open", url=server.url)
    try:
        await stopping.wait()
    finally:
        await server.stop()
