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
from services.exchange_sim.follower import MarketUnreachable
from services.exchange_sim.market import Market
from services.exchange_sim.recorded import RecordingError
from services.exchange_sim.server import ExchangeServer, market_of
from services.exchange_sim.settings import Settings
from services.exchange_sim.waiting_room import WaitingRoom

RETRY_S = 5.0


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
    stopped = asyncio.create_task(stopping.wait())
    opening = asyncio.create_task(_market_when_it_answers(settings))
    await asyncio.wait((stopped, opening), return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        return
    market, port = opening.result()
    server = ExchangeServer(settings.model_copy(update={"sim_port": port}), market)
    await server.start()
    failed = asyncio.create_task(server.failed())
    try:
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
    finally:
        stopped.cancel()
        failed.cancel()
        await server.stop()


async def _market_when_it_answers(settings: Settings) -> tuple[Market, int]:
    """The market and the port to serve it at. While it cannot be had, whoever asks us is told so."""
    port = settings.sim_port
    try:
        return await market_of(settings), port
    except MarketUnreachable as error:
        room, asked_s = WaitingRoom(str(error)), error.retry_after_s
    port = await room.open(settings.sim_host, port)
    try:
        while True:
            await asyncio.sleep(max(RETRY_S, asked_s))
            try:
                return await market_of(settings), port
            except MarketUnreachable as error:
                room.reason, asked_s = str(error), error.retry_after_s
    finally:
        await room.close()
