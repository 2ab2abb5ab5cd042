"""The venue as a process; while the market that it follows cannot be had, it waits, and says so."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from libs.runtime.redaction import register_secret
from libs.runtime.settings import settings_or_exit
from libs.runtime.simulator import simulate
from libs.runtime.stopping import Stopped, unless
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
    simulate("exchange_sim", settings, partial(_serve, settings), (StoreError, RecordingError, OSError, ValueError))


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    secret = settings.credentials()[1]
    if secret:
        register_secret(secret)
    with suppress(Stopped):
        market, port = await unless(stopping, _market_when_it_answers(settings))
        server = ExchangeServer(settings.model_copy(update={"sim_port": port}), market)
        await server.start()
        try:
            await unless(stopping, server.failed())
        finally:
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
