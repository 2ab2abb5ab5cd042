"""The venue as a process: settings, logs, signals."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from libs.runtime.logs import configure
from libs.runtime.redaction import register_secret
from libs.runtime.settings import EX_CONFIG, settings_or_exit
from services.exchange_sim.account_store import StoreError
from services.exchange_sim.recorded import RecordingError
from services.exchange_sim.server import ExchangeServer
from services.exchange_sim.settings import Settings


def main() -> None:
    """Run until SIGTERM or SIGINT; exit code 78 with a clear line when it cannot start."""
    settings = settings_or_exit(Settings)
    configure("exchange-sim", settings.log_level)
    try:
        secret = settings.credentials()[1]
        if secret:
            register_secret(secret)
        uvloop.run(_serve(settings))
    except (StoreError, RecordingError, OSError, ValueError) as error:
        raise SystemExit(_refusal(error)) from None


def _refusal(error: Exception) -> int:
    print(f"exchange_sim refuses to start: {error}", file=sys.stderr)
    return EX_CONFIG


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = ExchangeServer(settings)
    await server.start()
    stopped, failed = asyncio.create_task(stopping.wait()), asyncio.create_task(server.failed())
    try:
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
    finally:
        stopped.cancel()
        failed.cancel()
        await server.stop()
