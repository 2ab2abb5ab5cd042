"""A stream that says nothing, or lies about the time, is found out while time runs: no pong and no timeout of a library would tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.exchange_sim.faults import SocketFault
from tests.e2e.feed_bench import INSTRUMENTS
from tests.e2e.feed_stand import Stand, standing

BTC, ETH = INSTRUMENTS
SPEED = 120.0
READERS = pytest.mark.parametrize("reader", ["native", "ccxt"])
PROOF_S = 2.0
"""Alive window, a look a second, and a moment for a frame that is on its way."""


@asynccontextmanager
async def running(folder: Path, reader: str, **settings: Any) -> AsyncIterator[Stand]:
    """A feed on a market that runs."""
    market = {"sim_mode": "free", "sim_speed": SPEED, "sim_weight_limit": 0}
    async with standing(folder, market=market, feed_reader=reader, **{"feed_grace_ms": 500, **settings}) as stand:
        yield stand


def renewed_for(stand: Stand, *reasons: str) -> bool:
    return any(each["reason"] in reasons for each in stand.feed.logged("socket_renewed"))


@READERS
async def test_silence_everywhere(tmp_path: Path, reader: str) -> None:
    """Pings are answered, and no frame comes on any connection old or new: STALE in time, LIVE when it ends, and no bar is lost."""
    async with running(tmp_path, reader) as stand:
        stand.hurt(SocketFault(kind="freeze", sticky=True))
        limit_s = 1.0  # ten seconds of silence, of which each look counts at most one
        await stand.within(limit_s, lambda: stand.log.statuses[-1] == "STALE", "STALE")
        assert stand.status.reason == "SILENT"
        await stand.within(limit_s, lambda: renewed_for(stand, "SILENT"), "a renewed socket")
        await stand.whole_minutes(1)  # by REST
        stand.heal()
        await stand.within(PROOF_S, lambda: stand.log.statuses[-1] == "LIVE", "LIVE")
        await stand.whole_minutes(2)
        await stand.assert_undisturbed()


@READERS
async def test_silence_of_the_connections_there_are(tmp_path: Path, reader: str) -> None:
    """A new connection would speak: it is made, without anybody's help."""
    async with running(tmp_path, reader) as stand:
        before = stand.epochs
        stand.hurt(SocketFault(kind="freeze"))
        await stand.within(PROOF_S, lambda: renewed_for(stand, "SILENT", "STUCK"), "a renewed socket")
        await stand.whole_minutes(2)
        assert any(stand.epochs[name] > epoch for name, epoch in before.items())
        await stand.until(lambda: stand.log.statuses[-1] == "LIVE", "LIVE")
        await stand.assert_undisturbed()


@READERS
@pytest.mark.parametrize(
    ("stream", "reasons"),
    [("btcusdt@bookTicker", ("STUCK",)), ("btcusdt@*", ("STUCK", "LOSES_TRADES"))],
    ids=["quotes", "everything"],
)
async def test_one_instrument_stands_still(tmp_path: Path, reader: str, stream: str, reasons: tuple[str, ...]) -> None:
    """Everything else flows, its own trades perhaps, too; by REST its quote or its minute is another one: renewed."""
    async with running(tmp_path, reader) as stand:
        stand.hurt(SocketFault(kind="freeze", stream=stream))
        await stand.within(PROOF_S, lambda: renewed_for(stand, *reasons), "a renewed socket")
        assert {each["instrument"] for each in stand.feed.logged("stream_stuck")} <= {BTC}
        await stand.until(lambda: stand.log.marks()[BTC] == stand.venue.quotes()[BTC], "the newest quote")
        await stand.whole_minutes(1)
        await stand.assert_undisturbed()


@READERS
@pytest.mark.parametrize("told_before", [0, 1], ids=["from the start", "later"])
async def test_trades_of_one_instrument_stop(tmp_path: Path, reader: str, told_before: int) -> None:
    """Its quotes flow, so nothing looks silent; the venue's own bar says more than we heard, and the connection is renewed."""
    async with running(tmp_path, reader) as stand:
        await stand.whole_minutes(told_before)
        before = len(stand.told_trades(BTC))
        stand.hurt(SocketFault(kind="freeze", stream="btcusdt@trade"))
        minute_s = 60.0 / SPEED
        await stand.within(2 * minute_s, lambda: renewed_for(stand, "LOSES_TRADES", "SILENT"), "a renewed socket")
        await stand.until(lambda: len(stand.told_trades(BTC)) > before + 10, "trades again")
        await stand.whole_minutes(1)
        await stand.assert_undisturbed()


@READERS
async def test_trades_from_the_future(tmp_path: Path, reader: str) -> None:
    """A trade an hour ahead would close sixty minutes: it is refused, and its minute is the venue's own."""
    async with running(tmp_path, reader) as stand:
        hour_ms = 3_600_000
        stand.hurt(SocketFault(kind="mangle", stream="btcusdt@trade", field="T", offset=hour_ms))
        await stand.until(lambda: stand.refused("FROM_THE_FUTURE"), "a refused trade")
        await stand.whole_minutes(2)
        await stand.assert_undisturbed()


@READERS
@pytest.mark.parametrize("back_ms", [90_000, 3_600_000], ids=["a minute and a half", "an hour"])
async def test_trades_from_the_past(tmp_path: Path, reader: str, back_ms: int) -> None:
    """The venue's times go back for three trades: they were in no minute that is over, and the minute they were in is asked for."""
    async with running(tmp_path, reader) as stand:
        await stand.whole_minutes(1)
        back = SocketFault(kind="mangle", stream="btcusdt@trade", field="T", offset=-back_ms, times=3)
        while (
            stand.counted("BACK_IN_TIME") < 3
        ):  # a trade that comes long after the last one stays in the last one's minute
            stand.hurt(back)
            await stand.until(lambda: not stand.venue.server.faults.shown()["active"], "three trades that go back")
            await stand.whole_minutes(1)
        await stand.whole_minutes(2)
        await stand.assert_undisturbed()
