"""`bulkhead record` on a real bus: whatever happens to the recorder, every message of MARKET is in its files once, or in a gap."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from libs.common.messages import QuoteChanged, TradePrinted
from libs.common.timeframe import SECOND
from libs.runtime.recording import Recording
from libs.runtime.recording_manifest import Gap
from libs.runtime.streams import MARKET
from services.cli.app import app
from services.cli.exit_codes import CANNOT_WRITE, FINDING, NOT_YET, OK, USAGE
from services.exchange_sim.market import Quote, Trade
from services.exchange_sim.recorded import RecordedMarket
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.market_tape import Published, odd_ones, publish, published, tape
from tests.nats_stack import NatsStack, User

SOON_S = 30
DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")) / "binance_spot_raw"


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)
    return


@pytest.fixture
async def feed(nats: NatsStack) -> User:
    """Who may publish market data; the stack's map stands where `bulkhead up` would have written it."""
    (nats.home / "stack.json").write_text(json.dumps({"supervisor_pid": os.getpid(), "nats_url": nats.url}))
    return await nats.connect("market-feed")


async def bulkhead(home: Path, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["--home", str(home), "record", *words])


async def recorded(home: Path, *words: str, code: int = OK) -> Any:
    """What a recording up to now says to a script."""
    result = await bulkhead(home, *words, "--until-caught-up", "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


async def recorder(home: Path, *words: str) -> Process:
    """The command as a process of its own."""
    program = "from services.cli.app import main; main()"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--home", str(home), "record", *words, stdout=PIPE, stderr=PIPE
    )


def entries(folder: Path) -> list[tuple[int, str, bytes]]:
    return [(entry.seq, entry.subject, entry.payload) for entry in Recording(folder).entries()]


def numbered(found: list[Published], first: int = 1) -> list[tuple[int, str, bytes]]:
    return [(seq, *each) for seq, each in enumerate(found, start=first)]


async def until(folder: Path, last_seq: int) -> None:
    """The recording has been committed so far."""
    async with asyncio.timeout(SOON_S):
        while not (folder / "recording.json").exists() or Recording(folder).manifest.last_seq < last_seq:  # noqa: ASYNC110  (another process fills it)
            await asyncio.sleep(0.02)


async def delivered(admin: User) -> int:
    """What the server has sent to the recorder."""
    return (await admin.ask(f"$JS.API.CONSUMER.INFO.{MARKET}.recorder"))["delivered"]["stream_seq"]


# --- every message once -------------------------------------------------------------------------------------------


async def test_everything_published_is_recorded_byte_for_byte(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """Trades and quotes over midnight as columns, what nobody knows as bytes, in the order of the stream."""
    told = [*published(tape(900)), *odd_ones(), *published(tape(30, begins=1_767_700_000 * SECOND))]
    await publish(feed, told)
    done = await recorded(nats.home, "--out", str(tmp_path / "rec"))
    assert (done["messages"], done["first_seq"], done["last_seq"]) == (len(told), 1, len(told))
    assert (done["unknown"], done["gaps"], done["stopped_by"]) == (len(odd_ones()), [], "caught up")
    assert entries(tmp_path / "rec") == numbered(told)
    days = {path.parent.name for path in (tmp_path / "rec" / "trade" / "venue=binance").rglob("*.parquet")}
    assert days == {"date=2026-01-05", "date=2026-01-06"}
    again = await recorded(nats.home, "--out", str(tmp_path / "rec"))
    assert (again["messages"], again["parts"]) == (0, 0)
    assert entries(tmp_path / "rec") == numbered(told)


async def test_a_recorder_that_is_killed_again_and_again_leaves_no_gap_and_no_repeat(
    nats: NatsStack, feed: User, tmp_path: Path
) -> None:
    """kill -9 at any moment, while messages come: the next one goes on behind what was committed."""
    told, folder = published(tape(6_000)), tmp_path / "rec"
    publishing = asyncio.create_task(_slowly(feed, told))
    for kill in range(1, 4):
        process = await recorder(nats.home, "--out", str(folder), "--roll-mb", "0.02")
        await until(folder, kill * 1_200)
        process.kill()
        await process.wait()
    await publishing
    await asyncio.sleep(0)
    (folder / "trade" / ".part-000000099999.parquet.draft").write_bytes(b"half a fi")
    (folder / "trade" / "part-000000099999.parquet").write_bytes(b"a commit that never ended")
    assert len(entries(folder)) == Recording(folder).manifest.last_seq, "what was not committed is not seen"
    done = await recorded(nats.home, "--out", str(folder))
    assert done["last_seq"] == len(told)
    assert entries(folder) == numbered(told)
    assert not [path for path in folder.rglob("*") if "99999" in path.name]


async def _slowly(feed: User, told: list[Published]) -> None:
    for start in range(0, len(told), 100):
        await publish(feed, told[start : start + 100])
        await asyncio.sleep(0.03)


async def test_a_recorder_stops_at_a_signal_with_everything_on_disk(
    nats: NatsStack, feed: User, tmp_path: Path
) -> None:
    """Ctrl-C is the ordinary end: what was read is committed, the answer is JSON, the exit code is 0."""
    told, folder = published(tape(500)), tmp_path / "rec"
    await publish(feed, told)
    process = await recorder(nats.home, "--out", str(folder), "--roll-s", "0.2", "--json")
    await until(folder, len(told))
    await publish(feed, told[:1])
    await asyncio.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = await process.communicate()
    assert process.returncode == OK
    assert json.loads(said)["stopped_by"] == "a signal"
    assert len(entries(folder)) >= len(told)
    timed = await bulkhead(nats.home, "--out", str(folder), "--for", "0.3", "--json")
    assert json.loads(timed.stdout)["stopped_by"] == "its time"
    assert entries(folder) == numbered([*told, told[0]])


async def test_a_bus_that_hangs_keeps_nothing_from_the_disk(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """What was read is committed in its time, whether or not anything comes behind it; then the recorder can still be stopped."""
    told, folder = published(tape(300)), tmp_path / "rec"
    await publish(feed, told)
    process = await recorder(nats.home, "--out", str(folder), "--roll-s", "1.5")
    try:
        admin = await nats.connect("admin")
        async with asyncio.timeout(SOON_S):
            while await delivered(admin) < len(told):  # noqa: ASYNC110  (the server does not call)
                await asyncio.sleep(0.02)
        nats.process.send_signal(signal.SIGSTOP)
        await until(folder, len(told))
    finally:
        process.terminate()
        await process.communicate()
        nats.process.send_signal(signal.SIGCONT)
    assert process.returncode == OK
    assert entries(folder) == numbered(told)


async def test_a_bus_that_is_killed_is_waited_for(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """The recorder outlives the server, however that ended, and goes on with the next message."""
    told, folder = published(tape(600)), tmp_path / "rec"
    await publish(feed, told[:300])
    process = await recorder(nats.home, "--out", str(folder), "--roll-s", "0.2")
    try:
        await until(folder, 300)
        nats.kill()
        await nats.start(provisioned=False)
        await publish(await nats.connect("market-feed"), told[300:])
        await until(folder, 600)
    finally:
        process.terminate()
        _, said = await process.communicate()
    assert process.returncode == OK, said
    assert entries(folder) == numbered(told)


# --- what is lost is said -----------------------------------------------------------------------------------------


async def test_what_market_has_dropped_is_a_gap_with_a_name(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """MARKET is bounded: what it dropped between two recordings is told loudly, by exit code and in the manifest."""
    told, folder = published(tape(100)), tmp_path / "rec"
    await publish(feed, told[:40])
    await recorded(nats.home, "--out", str(folder))
    await publish(feed, told[40:])
    admin = await nats.connect("admin")
    await admin.ask(f"$JS.API.STREAM.PURGE.{MARKET}", {"seq": 61})
    result = await bulkhead(nats.home, "--out", str(folder), "--until-caught-up")
    assert result.exit_code == FINDING
    assert "GAP: messages 41 to 60 (20) are lost" in result.stderr
    await admin.ask(f"$JS.API.STREAM.PURGE.{MARKET}")
    await recorded(nats.home, "--out", str(folder))
    assert Recording(folder).gaps == (Gap(41, 60),)
    assert entries(folder) == [*numbered(told[:40]), *numbered(told[60:], first=61)]
    await publish(feed, told[:3])
    await admin.ask(f"$JS.API.STREAM.PURGE.{MARKET}")
    assert (await recorded(nats.home, "--out", str(folder), code=FINDING))["gaps"] == [
        {"first_seq": 101, "last_seq": 103}
    ], "also when nothing comes behind it"


async def test_another_stream_is_not_recorded_over_this_one(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """A MARKET that was made anew counts from 1 again: its numbers would mean other messages."""
    told, folder = published(tape(20)), tmp_path / "rec"
    await publish(feed, told)
    await recorded(nats.home, "--out", str(folder))
    admin = await nats.connect("admin")
    config = (await admin.ask(f"$JS.API.STREAM.INFO.{MARKET}"))["config"]
    consumer = (await admin.ask(f"$JS.API.CONSUMER.INFO.{MARKET}.recorder"))["config"]
    await admin.ask(f"$JS.API.STREAM.DELETE.{MARKET}")
    await admin.ask(f"$JS.API.STREAM.CREATE.{MARKET}", config)
    await admin.ask(
        f"$JS.API.CONSUMER.CREATE.{MARKET}.recorder", {"stream_name": MARKET, "config": consumer, "action": "create"}
    )
    failed = await recorded(nats.home, "--out", str(folder), code=CANNOT_WRITE)
    assert "recording of another MARKET" in failed["error"]
    assert entries(folder) == numbered(told)
    assert (await recorded(nats.home, "--out", str(tmp_path / "new")))["messages"] == 0


async def test_a_folder_of_something_else_is_left_alone(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """Nothing is written into it, and nothing removed; two recorders of one bus are one too many."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "part-000000000009.parquet").write_text("mine")
    failed = await recorded(nats.home, "--out", str(folder), code=CANNOT_WRITE)
    assert "is not empty" in failed["error"]
    assert [path.name for path in folder.iterdir()] == ["part-000000000009.parquet"]
    process = await recorder(nats.home, "--out", str(tmp_path / "one"))
    try:
        await until(tmp_path / "one", 0)
        assert (
            "another `bulkhead record`"
            in (await recorded(nats.home, "--out", str(tmp_path / "two"), code=NOT_YET))["error"]
        )
    finally:
        process.terminate()
        await process.communicate()
    assert (await bulkhead(nats.home)).exit_code == USAGE
    assert (await bulkhead(nats.home, "--out", "x", "--raw", "x")).exit_code == USAGE


# --- and played again ---------------------------------------------------------------------------------------------


def played(folder: Path, count: int) -> list[Trade | Quote]:
    market = RecordedMarket(folder, 7)
    return list(islice(market.events((market.starts_at, 0)), count))


def facts(events: list[Trade | Quote]) -> list[tuple[Any, ...]]:
    """What a client of the venue can see of events."""
    return [
        (each.ts_trade, each.instrument, each.trade_id, each.px, each.qty, each.is_sell)
        if isinstance(each, Trade)
        else (each.ts, each.instrument, each.bid_px, each.bid_qty, each.ask_px, each.ask_qty)
        for each in events
    ]


async def test_parquet_and_raw_frames_of_one_recording_play_alike(nats: NatsStack, feed: User, tmp_path: Path) -> None:
    """Both are written at once and in two runs; the venue plays the same trades and quotes from either."""
    told = published(tape(900))
    await publish(feed, told[:400])
    both = ("--out", str(tmp_path / "rec"), "--raw", str(tmp_path / "raw"))
    await recorded(nats.home, *both)
    grown = tmp_path / "raw" / "btcusdt_20260105.gz"
    grown.write_bytes(grown.read_bytes() + b"what a killed recorder left")
    await publish(feed, told[400:])
    await recorded(nats.home, *both)
    parquet, raw = played(tmp_path / "rec", len(told)), played(tmp_path / "raw", len(told))
    assert facts(parquet) == facts(raw)
    assert sorted(each.trade_id for each in parquet if isinstance(each, Trade)) == list(range(1, 301))


@asynccontextmanager
async def venue_of(folder: Path, home: Path) -> AsyncIterator[tuple[VenueStand, aiohttp.ClientWebSocketResponse]]:
    """The venue on a recording, and a socket that hears its trades and quotes."""
    streams = "/".join(f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt") for kind in ("trade", "bookTicker"))
    async with (
        open_venue(home, sim_data=folder) as venue,
        venue.http.ws_connect(f"/stream?streams={streams}") as socket,
    ):
        yield venue, socket


async def heard(folder: Path, home: Path, trades: int) -> list[tuple[Any, ...]]:
    """The first frames on the wire, up to so many trades, as (symbol, what a client reads in them)."""
    found: list[tuple[Any, ...]] = []
    async with venue_of(folder, home) as (venue, socket), asyncio.timeout(SOON_S):
        while trades:
            await venue.advance(1.0)
            with suppress(TimeoutError):
                while trades:
                    frame = json.loads((await socket.receive(timeout=0.05)).data)["data"]
                    if frame.get("e") == "trade":
                        trades -= 1
                        found.append(
                            (frame["s"], frame["t"], float(frame["p"]), float(frame["q"]), frame["m"], frame["T"])
                        )
                    else:
                        found.append((frame["s"], *(float(frame[name]) for name in "bBaA")))
    return found


async def test_a_recording_is_heard_on_the_venues_wire_as_it_was_published(
    nats: NatsStack, feed: User, tmp_path: Path
) -> None:
    """A client of exchange_sim hears the recorded trades and quotes, number for number, in their order; then the market goes on."""
    messages = tape(300)
    await publish(feed, published(messages))
    await recorded(nats.home, "--out", str(tmp_path / "rec"))
    on_the_wire = await heard(tmp_path / "rec", tmp_path / "venue", trades=110)
    told = [
        (
            each.instrument.replace("-", ""),
            int(each.trade_id),
            each.px,
            each.qty,
            each.aggressor_side == "SELL",
            each.ts_event // 1_000_000,
        )
        if isinstance(each, TradePrinted)
        else (each.instrument.replace("-", ""), each.bid_px, each.bid_qty, each.ask_px, each.ask_qty)
        for each in messages
        if isinstance(each, TradePrinted | QuoteChanged)
    ]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        mine = [each for each in on_the_wire if each[0] == symbol]
        wanted = [each for each in told if each[0] == symbol]
        assert mine[: len(wanted)] == wanted
        assert len(mine) > len(wanted), "generated prices go on behind the recording"


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded frames in {DATA} (BULKHEAD_DATA_DIR)")
async def test_real_frames_recorded_and_replayed_are_the_same_market(
    nats: NatsStack, feed: User, tmp_path: Path
) -> None:
    """A slice of August 2024: published, recorded as Parquet and as raw frames, and played: every trade and quote is there."""
    market = RecordedMarket(DATA, 7)
    real = [each for each in islice(market.events((market.starts_at, 0)), 12_000) if isinstance(each, Trade | Quote)]
    await publish(feed, published([_as_said(each) for each in real]))
    await recorded(nats.home, "--out", str(tmp_path / "rec"), "--raw", str(tmp_path / "raw"))
    assert len(list(Recording(tmp_path / "rec").messages())) == len(real) > 8_000
    lag = max(each.ts - each.ts_trade for each in real if isinstance(each, Trade))
    for folder in ("rec", "raw"):
        again = played(tmp_path / folder, len(real))
        for instrument in ("BTC-USDT", "ETH-USDT"):
            mine, theirs = ([each for each in some if each.instrument == instrument] for some in (again, real))
            assert without_quote_times(mine) == without_quote_times(theirs)
            assert all(abs(a.ts - b.ts) <= lag for a, b in zip(mine, theirs, strict=True))


def without_quote_times(events: list[Trade | Quote]) -> list[tuple[Any, ...]]:
    """A trade's message carries when it was made, not when it was sent; quotes, timed by the trades before them, follow."""
    return [fact if isinstance(each, Trade) else fact[1:] for each, fact in zip(events, facts(events), strict=True)]


def _as_said(event: Trade | Quote) -> TradePrinted | QuoteChanged:
    """What a feed without delay would have published of it."""
    common: dict[str, Any] = {
        "ts_init": event.ts,
        "producer": "market",
        "venue": "binance",
        "instrument": event.instrument,
    }
    if isinstance(event, Trade):
        return TradePrinted(
            **common,
            ts_event=event.ts_trade,
            trade_id=str(event.trade_id),
            px=event.px,
            qty=event.qty,
            aggressor_side="SELL" if event.is_sell else "BUY",
        )
    return QuoteChanged(
        **common,
        ts_event=event.ts,
        bid_px=event.bid_px,
        bid_qty=event.bid_qty,
        ask_px=event.ask_px,
        ask_qty=event.ask_qty,
    )
