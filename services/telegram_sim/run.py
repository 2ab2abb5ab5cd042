"""The emulated Bot API as a process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from libs.runtime.settings import settings_or_exit
from libs.runtime.simulator import serve, simulate, take_no_words
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings

NAME = "telegram_sim"
VARIABLES = "BULKHEAD_TELEGRAM_SIM_PORT, BULKHEAD_TELEGRAM_SIM_CHATS and BULKHEAD_HOME"


def main(words: Sequence[str] = ()) -> None:
    """Run until SIGTERM or SIGINT; exit code 78 with a clear line when it cannot listen, 2 for `words` on its command line."""
    take_no_words(NAME, words, VARIABLES)
    settings = settings_or_exit(Settings)

    async def work(stopping: asyncio.Event) -> None:
        server = TelegramServer(settings)
        await serve(server, settings.folder, stopping, lambda: write_secret(settings.folder / "token", server.token))

    simulate(NAME, settings, work)
