"""The live shell over a real bus: starts, stops, standbys, fences, crashes, and a server that dies under it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nkeys
import pytest

from libs.common.messages import AlertRaised, Answer, TradePrinted
from libs.runtime import lifetime, live, live_appends, market_outlet, snapshots
from libs.runtime.bus import AppendUnknown, BusError, Fenced
from libs.runtime.core import Asked
from libs.runtime.lease import LeaseLost
from libs.runtime.nats_config import ensure_keys, key_file
from libs.runtime.ports import PortTaken
from libs.runtime.settings import EX_CONFIG, SettingsError
from libs.runtime.snapshots import Snapshot, SnapshotFolder
from libs.runtime.stopping import cancelled
from libs.runtime.streams import MARKET, TRADING, StreamLimits
from tests.e2e.live_services import Kind, Life, Log, Pen, until
from tests.e2e.toy_services import ASKER, COUNTER, FEED, TOYS, Counter, World, mark
from tests.nats_stack import NatsStack, free_ports

ROOT = Path(__file__).parents[2]
LEASE_TTL_S = 1.0


@pytest.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NatsStack]:
    """A bus for the toy services, with short leases."""
    monkeypatch.setattr(live, "LEASE_TTL_S", LEASE_TTL_S)
    stack = NatsStack(tmp_path / "home", TOYS)
    await stack.start(StreamLimits(lease_ttl_s=LEASE_TTL_S))
    try:
        yield stack
    finally:
        await stack.stop()


@pytest.fixture(autouse=True)
def no_curse() -> Iterator[None]:
    """Machines are as they should be, unless a test says otherwise."""
    Counter.cursed.clear()
    yield
    Counter.cursed.clear()


async def told(log: Log) -> list[str]:
    """What the counter has said of marks, in order."""
    return [each.text for each in await log.said("risk.alert")]


def sums(*numbers: int) -> list[str]:
    """What the counter says of these marks, if each is counted once."""
    return [f"{number}:{sum(numbers[: place + 1])}" for place, number in enumerate(numbers)]


def events(printed: str, name: str) -> list[dict[str, Any]]:
    """The log lines of one name among what was printed."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def in_process(kind: Kind, nats: NatsStack, **settings: Any) -> asyncio.Task[int]:
    """A service as a process would run it: the result is its exit code."""
    given = kind.settings_class(**{"home": nats.home, "nats_url": nats.url, **settings})

    def born() -> live.LiveShell:
        return live.LiveShell(kind.contract, kind.machine_class, given, adapter=kind.adapter)

    return asyncio.create_task(lifetime.lived(kind.contract.service, given, born))


# --- starts and stops -----------------------------------------------------------------------------------------------


def spoiled(home: Path, how: str) -> None:
    """Make a snapshot unusable."""
    path = home / "snapshots" / "risk.snapshot"
    raw = path.read_bytes()
    snapshot = msgspec.msgpack.decode(raw[16:], type=Snapshot)
    match how:
        case "deleted":
            path.unlink()
        case "torn":
            path.write_bytes(raw[: len(raw) // 2])
        case "a bit turned":
            path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        case "of other code":
            SnapshotFolder(home, "risk").save(msgspec.structs.replace(snapshot, code_version="other"))
        case "of another log":
            SnapshotFolder(home, "risk").save(msgspec.structs.replace(snapshot, stream="TRADING_0002"))
        case "of nobody":
            raw = msgspec.msgpack.encode({"writer": "risk"})
            path.write_bytes(snapshots.hashlib.blake2b(raw, digest_size=16).digest() + raw)


async def test_a_clean_stop_leaves_a_snapshot_and_a_spoiled_one_is_not_used(
    bus: NatsStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a start uses the snapshot or cannot, it knows the same, and the log replays clean across all of them."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    used, number, told_before = [], 0, []
    for how in ("", "", "deleted", "torn", "a bit turned", "of other code", "of another log", "of nobody", ""):
        if how:
            spoiled(bus.home, how)
        life = await Life(bus, COUNTER).live()
        for _ in range(3):
            number += 1
            told_before.append(number)
            seq = await feed.say(mark(number))
        await life.done(seq)
        assert life.state.total == sum(told_before)
        assert await life.stop() is None
        used += [line["used_snapshot"] for line in events(capsys.readouterr().out, "recovering")]
    assert used == [False, True, False, False, False, False, False, False, True]
    assert await told(log) == sums(*told_before)
    report = await log.proof([COUNTER])
    assert (report.mismatches, report.unpublished) == ([], 0)
    assert len(await log.said("risk.started")) == len(used)


async def test_a_log_that_has_lost_events_is_not_written_to(bus: NatsStack, capsys: pytest.CaptureFixture[str]) -> None:
    """A log shorter than it is known to have been is a matter for a human: the process says so and refuses."""
    log = await Log.of(bus)
    SnapshotFolder(bus.home, "risk").save_watermark(TRADING, 999)
    assert await in_process(COUNTER, bus) == EX_CONFIG
    assert "known to have reached 999; acknowledged events are gone. Restore the log" in capsys.readouterr().err
    assert await log.read() == []


async def test_the_watermark_and_snapshots_are_written_while_it_lives(
    bus: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash finds a recent snapshot and a recent length of the log on disk."""
    monkeypatch.setattr(snapshots, "WATERMARK_EVERY_S", 0.02)
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVERY_S", 0.02)
    life, feed = await Life(bus, COUNTER).live(), await Pen.of(bus, "market-feed")
    await life.done(await feed.say(mark(7)))
    folder, version = SnapshotFolder(bus.home, "risk"), life.readiness.code_version

    def is_kept() -> bool:
        kept = folder.load(TRADING, version)
        return folder.watermark(TRADING) >= 3 and kept is not None and kept.in_seq >= 2

    await until(is_kept)
    assert folder.watermark("TRADING_0002") == 0
    await life.kill()
    again = await Life(bus, COUNTER).live()
    assert again.state.total == 7
    assert await again.stop() is None


async def test_other_settings_hold_from_their_start_on(bus: NatsStack) -> None:
    """What was decided under old settings is derived under old settings again, by a rebuild and by the replay proof."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    for step in (1, 10, 1):
        life = await Life(bus, COUNTER, step=step).live()
        await life.done(0)  # its `started` is in the log, before the next mark
        await feed.say(mark(1))
        await life.done(await feed.say(mark(2)))
        assert await life.stop() is None
    (bus.home / "snapshots" / "risk.snapshot").unlink()
    life = await Life(bus, COUNTER, step=100).live()
    await life.done(0)
    await life.done(await feed.say(mark(1)))
    assert await life.stop() is None
    assert await told(log) == ["1:1", "2:3", "1:13", "2:33", "1:34", "2:36", "1:136"]
    report = await log.proof([COUNTER])
    assert (report.mismatches, report.unpublished) == ([], 0)


async def test_outputs_before_a_kill_are_not_said_again(bus: NatsStack) -> None:
    """kill -9 between any two appends: what is in the log stays once, what is missing follows."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    life = await Life(bus, COUNTER).live()
    for number in range(1, 40):
        await feed.say(mark(number))
    await log.until("risk.alert", 3)
    await life.kill()
    await feed.say(mark(10_000))
    life = await Life(bus, COUNTER).live()
    await log.until("risk.alert", 100)
    await life.kill()
    life = await Life(bus, COUNTER).live()
    seq = await feed.say(mark(1))
    await life.done(seq)
    assert await life.stop() is None
    said = await told(log)
    assert said == [*sums(*range(1, 40), 10_000), *(f"flood {place}" for place in range(300)), "1:10781"]
    assert (await log.proof([COUNTER])).mismatches == []


# --- one at a time --------------------------------------------------------------------------------------------------


async def test_a_standby_is_silent_until_the_lease_is_gone(bus: NatsStack) -> None:
    """A second instance neither reads nor writes; when the first is dead it takes over and leaves nothing out."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    admin = await bus.connect("admin")
    first = await Life(bus, COUNTER, instance="a").live()
    second = await Life(bus, COUNTER, instance="b").standing_by()
    third = await Life(bus, COUNTER, instance="c").standing_by()
    await first.done(await feed.say(mark(1)))
    assert [each.instance for each in await log.said("risk.started")] == ["a"]
    info = await admin.ask(f"$JS.API.CONSUMER.INFO.{TRADING}.risk-gate")
    assert info["num_waiting"] == 1, "only the first may have a pull outstanding"
    assert second.readiness.reasons == ["standby: another instance holds the lease"]
    assert second.readiness.stands_by
    assert not first.readiness.stands_by
    assert await third.stop() is None
    await first.kill()
    seq = await feed.say(mark(2))
    await second.live()
    await second.done(seq)
    assert await second.stop() is None
    assert await told(log) == sums(1, 2)
    assert [each.instance for each in await log.said("risk.started")] == ["a", "b"]


async def test_of_two_instances_of_one_name_one_is_fenced(bus: NatsStack) -> None:
    """The log lets only one of them write; the other ends with 75, and every mark is answered once."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    first = in_process(COUNTER, bus)
    await log.until("risk.started")
    second = await Life(bus, COUNTER).live()
    await log.until("risk.started", 2)
    await second.done(await feed.say(mark(1)))
    assert await asyncio.wait_for(first, 20) == lifetime.EX_TEMPFAIL
    await second.done(await feed.say(mark(2)))
    assert await second.stop() is None
    assert await told(log) == sums(1, 2)


async def test_a_lost_lease_ends_its_loser(bus: NatsStack) -> None:
    """Whoever finds another name in the lease stops writing."""
    life = await Life(bus, COUNTER).live()
    entry = await life.shell._bus.read_lease("risk")
    assert entry is not None
    while True:
        try:
            await life.shell._bus.put_lease("risk", "another", entry.seq)
            break
        except Fenced:  # renewed in between
            entry = await life.shell._bus.read_lease("risk")
            assert entry is not None
    assert isinstance(await life.ended(), LeaseLost)


# --- crashes --------------------------------------------------------------------------------------------------------


async def test_an_exception_in_a_machine_ends_the_process_and_nothing_is_lost(
    bus: NatsStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 70 and the whole story on stdout; as often as the defect is met; once it is gone, the work is done once."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    Counter.cursed.add(13)
    await feed.say(mark(1))
    await feed.say(mark(13))
    for _ in range(2):
        assert await asyncio.wait_for(in_process(COUNTER, bus), 20) == lifetime.EX_SOFTWARE
        (crash,) = events(capsys.readouterr().out, "crashed")
        assert "ZeroDivisionError: mark 13 is cursed" in crash["exception"]
    Counter.cursed.clear()
    life = await Life(bus, COUNTER).live()
    await life.done(await feed.say(mark(2)))
    assert await life.stop() is None
    assert await told(log) == sums(1, 13, 2)
    assert (await log.proof([COUNTER])).mismatches == []


async def test_a_world_that_breaks_ends_the_process(bus: NatsStack) -> None:
    """An adapter's exception is a defect like any other; so is a request nobody can perform."""
    life = Life(bus, ASKER)
    life.shell._adapter.is_broken = True
    assert isinstance(await life.ended(), ConnectionError)
    feed = await Pen.of(bus, "market-feed")
    life = await Life(bus, msgspec.structs.replace(ASKER, adapter=None)).live()
    await feed.say(mark(1))
    assert isinstance(await life.ended(), RuntimeError)


async def test_requests_are_made_once_and_answers_survive_a_kill(
    bus: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that may have left before a kill is interrupted, not repeated; one that is too old never leaves."""
    monkeypatch.setattr(live, "STOP_S_MAX", 1.0)
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    life = await Life(bus, ASKER).live()
    world = life.shell._adapter
    assert isinstance(world, World)
    await feed.say(mark(1))
    await feed.say(mark(500))
    await log.until("notify.sent")
    await log.until("notify.expired")
    world.gate.clear()
    await feed.say(mark(2))
    await log.until("notify.notice", 3)
    await until(lambda: "2" in world.left)
    assert not life.readiness.quiescent
    assert life.readiness.pending_requests == 1
    await life.kill()
    assert world.left == ["1", "2"]
    again = await Life(bus, ASKER).live()
    await log.until("notify.interrupted")
    await again.done(await log.last_seq())
    assert again.state.ends == {"1": "MessageSent", "500": "RequestExpired", "2": "RequestInterrupted"}
    assert again.shell._adapter.left == []
    again.shell._adapter.gate.clear()
    await feed.say(mark(3))
    await log.until("notify.notice", 4)
    assert await again.stop() is None, "an answer that does not come must not hold up a stop"
    assert (await log.proof([ASKER])).mismatches == []


async def test_a_line_about_an_append_waits_for_what_follows_from_it(
    bus: NatsStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request leaves as soon as what is written ahead of it is in the log; only then a line is spent on that, and never lost."""
    monkeypatch.setattr(live_appends, "NOTE_AFTER_S", 60.0)
    written: list[str] = []

    class Witness(World):
        async def perform(self, asked: Asked) -> Answer:
            written.append(capsys.readouterr().out)
            return await super().perform(asked)

    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    life = await Life(bus, msgspec.structs.replace(ASKER, adapter=Witness)).live()
    await feed.say(mark(1))
    await log.until("notify.sent")
    assert ["notify.notice" in each for each in written] == [False]
    assert await life.stop() is None
    assert capsys.readouterr().out.count('"subject":"notify.notice"') == 1


async def test_timers_fire_through_the_log(bus: NatsStack) -> None:
    """A timer that was due while nobody lived fires at the next start, once."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    life = await Life(bus, COUNTER).live()
    await feed.say(mark(1_000))
    await log.until("risk.alert", 2)
    assert life.state.fired == 1
    await life.kill()
    await feed.say(mark(1_001))
    life = await Life(bus, COUNTER).live()
    fired = await log.until("risk.timer", 2)
    assert [each.name for each in fired] == ["t1000", "t1001"]
    await log.until("risk.alert", 4)
    assert await life.stop() is None
    assert (await log.proof([COUNTER])).mismatches == []


# --- a bus that dies ------------------------------------------------------------------------------------------------


async def test_an_idle_service_outlives_its_server(bus: NatsStack, capsys: pytest.CaptureFixture[str]) -> None:
    """kill -9 of nats-server while nothing is under way: the service waits, says that it is not ready, and goes on."""
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    life = await Life(bus, COUNTER).live()
    await life.done(await feed.say(mark(1)))
    bus.kill()
    await until(lambda: life.readiness.reasons == ["the bus is unreachable"])
    await until(lambda: events(capsys.readouterr().out, "lease_not_renewed"))
    await bus.start(provisioned=False)
    await life.live()
    feed, log = await Pen.of(bus, "market-feed"), await Log.of(bus)
    await life.done(await feed.say(mark(2)))
    assert await life.stop() is None
    assert await told(log) == sums(1, 2)


async def test_a_server_that_is_frozen_is_not_taken_for_one_that_works(bus: NatsStack) -> None:
    """A stopped process keeps its connections: who only asks whether he is connected says for ever that all is well."""
    life = await Life(bus, COUNTER).live()
    bus.process.send_signal(signal.SIGSTOP)
    try:
        await until(lambda: life.readiness.reasons == ["the bus is unreachable"])
    finally:
        bus.process.send_signal(signal.SIGCONT)
    await until(lambda: life.readiness.ready)
    assert await life.stop() is None


async def test_an_append_without_an_answer_ends_the_process_and_the_next_start_knows(bus: NatsStack) -> None:
    """A server that dies with an append in its hands leaves a question; the log answers it, and the work is done once."""
    log = await Log.of(bus)
    life = await Life(bus, FEED).live()
    life.shell._emit(mark(1))
    await log.until("feed.marks")
    await life.done(await log.last_seq())
    bus.process.send_signal(signal.SIGSTOP)
    life.shell._emit(mark(2))
    await asyncio.sleep(0.1)
    bus.kill()
    assert isinstance(await life.ended(), AppendUnknown)
    await bus.start(provisioned=False)
    log = await Log.of(bus)
    life = await Life(bus, FEED).live()
    life.shell._emit(mark(3))
    await log.until("feed.marks", 2)
    await life.done(await log.last_seq())
    assert await life.stop() is None
    numbers = [each.as_of for each in await log.said("feed.marks")]
    assert numbers in ([1, 3], [1, 2, 3])


async def test_a_connection_closed_for_good_is_an_error_not_an_end(bus: NatsStack) -> None:
    """When the client has given up there is no way back, at work as well as standing by; it must not look like a clean stop."""
    first = await Life(bus, COUNTER, instance="a").live()
    second = await Life(bus, COUNTER, instance="b").standing_by()
    for life in (second, first):
        life.shell._closed()
        error = await life.ended()
        assert isinstance(error, BusError)
        assert "closed for good" in str(error)


async def test_a_stop_while_the_bus_is_away_is_bounded(bus: NatsStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be appended is said by the next start; the stop does not wait for it for ever."""
    monkeypatch.setattr(live, "STOP_S_MAX", 0.4)
    log, feed = await Log.of(bus), await Pen.of(bus, "market-feed")
    life = await Life(bus, COUNTER).live()
    await life.done(await feed.say(mark(1)))
    bus.kill()
    await until(lambda: not life.shell._bus.is_connected)
    life.shell._emit(AlertRaised(code="TOY", severity="note", text="into the void"))
    assert await life.stop() is None
    await bus.start(provisioned=False)
    log = await Log.of(bus)
    assert await told(log) == sums(1)


async def test_a_key_the_server_does_not_know_ends_the_process(
    bus: NatsStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that refuses a key will refuse it again: the process says which file it is, and what it says is not the key."""
    path = key_file(bus.home, "risk-gate")
    for seed in (nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER), b"not a seed at all"):
        path.write_bytes(seed)
        assert await asyncio.wait_for(in_process(COUNTER, bus), 20) == EX_CONFIG
        said = capsys.readouterr()
        assert str(path) in said.err
        assert seed.decode() not in said.err + said.out


# --- before the bus -------------------------------------------------------------------------------------------------


async def test_told_to_stop_before_the_bus_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM while it waits for a server, or for a clock, is a clean end."""
    nats = NatsStack(tmp_path / "home", TOYS)
    nats.home.mkdir()
    ensure_keys(nats.home, ["risk-gate"])
    for settings in ({}, {"clock_url": f"ws://127.0.0.1:{nats.port}/sim/clock"}):
        running = in_process(COUNTER, nats, **settings)
        await until(lambda: events(capsys.readouterr().out, "listening"))
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(running, 5) == lifetime.EX_OK


def test_a_process_told_to_stop_before_the_bus_is_up(tmp_path: Path) -> None:
    """The same for a real service as a real process, within five seconds."""
    ensure_keys(tmp_path, ["agent-trend"])
    (port,) = free_ports(1)
    env = {**os.environ, "BULKHEAD_HOME": str(tmp_path), "BULKHEAD_NATS_URL": f"nats://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "services.signal_agents.trend"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert b"listening" in running.stdout.readline()
        began = time.monotonic()
        running.terminate()
        assert running.wait(20) == 0
        assert time.monotonic() - began < 5


async def test_a_cancellation_that_is_lost_is_repeated() -> None:
    """A library that answers instead of ending when it is cancelled does not keep a process alive."""
    lost = []

    async def stubborn() -> None:
        while len(lost) < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append(1)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancelled(task), 20)
    assert len(lost) == 3


async def test_a_port_that_is_taken_or_no_place_at_all(bus: NatsStack, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's port may be free again; a host that is none is a bad setting, and named."""
    life = await Life(bus, COUNTER).live()
    port = int(next(line["port"] for line in events(capsys.readouterr().out, "listening")))
    second = Life(bus, COUNTER, http_port=port)
    error = await second.ended()
    assert isinstance(error, PortTaken)
    assert f"BULKHEAD_HTTP_PORT: got '127.0.0.1', {port}" in str(error)
    assert await in_process(COUNTER, bus, http_port=port) == lifetime.EX_TEMPFAIL
    assert await in_process(COUNTER, bus, http_host="256.1.2.3") == EX_CONFIG
    assert "BULKHEAD_HTTP_HOST" in capsys.readouterr().err
    assert await life.stop() is None
    assert not issubclass(PortTaken, SettingsError)


# --- market data ----------------------------------------------------------------------------------------------------


def trade(number: int) -> TradePrinted:
    """A trade as the venue printed it."""
    return TradePrinted(
        id=f"t{number}",
        producer="market",
        venue="binance",
        instrument="BTC-USDT",
        trade_id=str(number),
        px=1.0,
        qty=1.0,
        aggressor_side="BUY",
    )


def dropped(life: Life) -> float:
    """How many market records were lost, as /metrics tells it."""
    body, _ = life.shell._metrics.exposition()
    lines = [line for line in body.decode().splitlines() if line.startswith("bulkhead_market_dropped_total{")]
    return float(lines[0].split()[-1]) if lines else 0.0


async def test_market_records_are_sent_and_their_loss_is_only_counted(
    bus: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trades reach MARKET; a full queue or a bus that is away costs records, never the service."""
    monkeypatch.setattr(market_outlet, "BACKLOG_MAX", 100)
    log, life = await Log.of(bus), await Life(bus, FEED).live()
    send = life.shell._adapter.context.publish_market
    for number in range(100):
        send(trade(number))

    async def stored(count: int) -> bool:
        return await log.size(MARKET) >= count

    await until(lambda: stored(100))
    assert dropped(life) == 0
    for number in range(130):
        send(trade(number))
    assert dropped(life) == 30
    bus.kill()
    await until(lambda: not life.shell._bus.is_connected)
    send(trade(1))
    await until(lambda: dropped(life) > 30)
    await bus.start(provisioned=False)
    await life.live()
    log = await Log.of(bus)
    before = await log.size(MARKET)
    send(trade(2))
    await until(lambda: stored(before + 1))
    assert await life.stop() is None
