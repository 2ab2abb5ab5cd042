"""The clock port: wall time, and a venue's time told over a real WebSocket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSMsgType, web

from libs.runtime.clock import SECOND, ClockUnavailable, SystemClock, VenueClock, open_clock

T0 = 1_700_000_000 * SECOND


class Venue:
    """A venue clock under test's control: says what it is told to, and can drop its listeners."""

    def __init__(self) -> None:
        self.frame: dict | str = {"now_ns": T0, "speed": 0.0}
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.port = 0

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/sim/clock", self._serve)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", port)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        await self.drop()
        await self.runner.cleanup()

    async def say(self, now_ns: int, speed: float) -> None:
        self.frame = {"now_ns": now_ns, "speed": speed}
        for socket in self.sockets:
            await socket.send_str(json.dumps(self.frame))

    async def drop(self) -> None:
        for socket in list(self.sockets):
            await socket.close()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.sockets.append(socket)
        try:
            await socket.send_str(self.frame if isinstance(self.frame, str) else json.dumps(self.frame))
            async for message in socket:
                assert message.type is not WSMsgType.ERROR
        finally:
            self.sockets.remove(socket)
        return socket

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/sim/clock"


class Ticker:
    """A monotonic clock that a test turns by hand."""

    def __init__(self) -> None:
        self.ns = 5 * SECOND

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    await venue.start()
    yield venue
    await venue.stop()


async def until(condition) -> None:
    """Wait for a state, not for a time."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (any condition, not an event of ours)
            await asyncio.sleep(0.005)


async def test_system_clock_is_utc_and_sleeps() -> None:
    """Wall time is nanoseconds UTC, and a sleeper wakes no earlier than it asked for."""
    clock = SystemClock()
    await clock.connect()
    before = time.time_ns()
    due = before + 20_000_000
    await clock.sleep_until(due)
    assert clock.now() >= due
    await clock.sleep_until(before)
    await clock.close()


def test_factory_reads_the_setting() -> None:
    """No url means wall time."""
    assert isinstance(open_clock(""), SystemClock)
    followed = open_clock("ws://127.0.0.1:1/sim/clock")
    assert isinstance(followed, VenueClock)
    assert followed.speed == 0.0


async def test_lock_step_stands_still_until_a_step(venue: Venue) -> None:
    """At speed 0 no time passes between frames, however long we wait."""
    ticker = Ticker()
    clock = VenueClock(venue.url, monotonic=ticker)
    await clock.connect()
    ticker.ns += 3600 * SECOND
    assert clock.now() == T0
    await venue.say(T0 + 60 * SECOND, 0.0)
    await until(lambda: clock.now() == T0 + 60 * SECOND)
    await clock.close()


async def test_free_running_extrapolates_by_speed(venue: Venue) -> None:
    """At speed 20 a second of ours is twenty of the venue's."""
    ticker = Ticker()
    venue.frame = {"now_ns": T0, "speed": 20.0}
    clock = VenueClock(venue.url, monotonic=ticker)
    await clock.connect()
    assert clock.now() == T0
    assert clock.speed == 20.0
    ticker.ns += SECOND
    assert clock.now() == T0 + 20 * SECOND
    await clock.close()


async def test_never_goes_backwards(venue: Venue) -> None:
    """A frame from behind (jitter, a venue begun anew) holds time where it was told to be, and it goes on from there."""
    ticker = Ticker()
    venue.frame = {"now_ns": T0, "speed": 1.0}
    clock = VenueClock(venue.url, monotonic=ticker)
    await clock.connect()
    ticker.ns += 10 * SECOND
    assert clock.now() == T0 + 10 * SECOND
    await venue.say(T0 + 4 * SECOND, 2.0)
    await until(lambda: clock.speed == 2.0)
    assert clock.now() == T0 + 10 * SECOND
    ticker.ns += 3 * SECOND
    assert clock.now() == T0 + 10 * SECOND
    ticker.ns += SECOND
    assert clock.now() == T0 + 12 * SECOND
    await clock.close()


async def test_a_sleeper_wakes_on_the_step_that_reaches_it(venue: Venue) -> None:
    """In lock-step a sleeper sleeps through steps that fall short, and wakes on the one that does not."""
    clock = VenueClock(venue.url)
    await clock.connect()
    sleeper = asyncio.create_task(clock.sleep_until(T0 + 10 * SECOND))
    await venue.say(T0 + 9 * SECOND, 0.0)
    await until(lambda: clock.now() == T0 + 9 * SECOND)
    assert not sleeper.done()
    await venue.say(T0 + 10 * SECOND, 0.0)
    await asyncio.wait_for(sleeper, 10)
    await clock.close()
    assert clock.now() == T0 + 10 * SECOND


async def test_a_sleeper_sleeps_by_speed(venue: Venue) -> None:
    """At speed 1000 a minute of the venue is over in a moment, without any further frame."""
    venue.frame = {"now_ns": T0, "speed": 1000.0}
    clock = VenueClock(venue.url)
    await clock.connect()
    await asyncio.wait_for(clock.sleep_until(T0 + 60 * SECOND), 10)
    assert clock.now() >= T0 + 60 * SECOND
    await clock.close()


async def test_a_broken_connection_is_renewed(venue: Venue) -> None:
    """Free-running time goes on without the venue; the connection comes back by itself with the venue's word."""
    ticker = Ticker()
    venue.frame = {"now_ns": T0, "speed": 10.0}
    clock = VenueClock(venue.url, monotonic=ticker)
    await clock.connect()
    port = venue.port
    await venue.stop()
    await until(lambda: not clock.connected)
    ticker.ns += SECOND
    assert clock.now() == T0 + 10 * SECOND
    venue.frame = {"now_ns": T0 + 77 * SECOND, "speed": 0.0}
    await venue.start(port)
    await until(lambda: clock.connected)
    assert clock.now() == T0 + 77 * SECOND
    assert venue.connections == 2
    await clock.close()
    assert not clock.connected


async def test_lock_step_stands_still_while_disconnected(venue: Venue) -> None:
    """Without its venue a lock-step clock waits: no market time may pass that the venue has not made."""
    ticker = Ticker()
    clock = VenueClock(venue.url, monotonic=ticker)
    await clock.connect()
    await venue.stop()
    await until(lambda: not clock.connected)
    ticker.ns += 1000 * SECOND
    assert clock.now() == T0
    await clock.close()
    await venue.start()


async def test_a_silent_venue_is_asked_again(venue: Venue) -> None:
    """A connection that says nothing for too long is as good as broken."""
    clock = VenueClock(venue.url, silence_s_max=0.05)
    await clock.connect()
    await until(lambda: venue.connections >= 2)
    assert clock.now() == T0
    await clock.close()


@pytest.mark.parametrize(
    "frame",
    ["", "no json", '{"now_ns": 1}', '{"now_ns": 1, "speed": -1.0}', '{"now_ns": "x", "speed": 1.0}', "[]", "x" * 9000],
)
async def test_a_word_that_is_no_time_is_not_believed(venue: Venue, frame: str) -> None:
    """Nonsense never becomes time, and the text says which clock said it and which setting to look at."""
    venue.frame = frame
    clock = VenueClock(venue.url)
    with pytest.raises(ClockUnavailable, match="BULKHEAD_CLOCK_URL") as caught:
        await clock.connect(0.3)
    assert venue.url in str(caught.value)
    with pytest.raises(ClockUnavailable):
        clock.now()


async def test_nobody_there_is_a_clear_error() -> None:
    """A clock that cannot be reached is an error after the deadline, with the reason."""
    clock = VenueClock("ws://127.0.0.1:1/sim/clock")
    with pytest.raises(ClockUnavailable, match="Connect"):
        await clock.connect(0.3)
    with pytest.raises(ClockUnavailable, match=r"connect\(\) first"):
        clock.now()
