"""The two clocks a service can run on: the machine's own, and the one a simulated venue tells.

Theory of operation. `VenueClock` follows a WebSocket that says `{"now_ns": int, "speed": float}` on connect, on each step and
about once a second. Between two frames it extrapolates: monotonic time passed, times `speed`. At speed 0 (lock-step) it stands
still until the next frame, connected or not; at any other speed it runs on through a broken connection, which it renews with
back-off. It never goes backwards: a frame that is behind what was already told makes it wait there, not return.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import msgspec
import structlog

SECOND = 1_000_000_000
SLEEP_S_MAX = 1.0
"""No sleep is longer: a wall clock may be set, and a venue clock may change speed while a sleeper waits."""

_FRAME_BYTES_MAX = 4096
_log = structlog.get_logger(__name__)


class ClockUnavailable(RuntimeError):
    """The venue clock has not said a time yet; the text says which clock, and what happened instead."""


class ClockFrame(msgspec.Struct, frozen=True):
    """One word of a venue clock: the venue's time (ns UTC) and how many of its seconds pass in one of ours."""

    now_ns: int
    speed: float


class SystemClock:
    """Wall time, UTC."""

    def now(self) -> int:
        """Nanoseconds UTC."""
        return time.time_ns()

    async def sleep_until(self, due: int) -> None:
        """Return once `now() >= due`."""
        while (left := due - self.now()) > 0:  # noqa: ASYNC110  (what is awaited is the passing of time)
            await asyncio.sleep(min(left / SECOND, SLEEP_S_MAX))

    async def connect(self, deadline_s: float = 0.0) -> None:
        """Nothing to do: wall time is always there."""

    async def close(self) -> None:
        """Nothing to do."""


class VenueClock:
    """The time of a venue at `url` (`ws://host:port/sim/clock`); `connect` before `now`."""

    def __init__(
        self,
        url: str,
        *,
        monotonic: Callable[[], int] = time.monotonic_ns,
        silence_s_max: float = 5.0,
        backoff_s_max: float = 2.0,
    ):
        self.url = url
        self.connected = False
        self._monotonic = monotonic
        self._silence_s_max = silence_s_max
        self._backoff_s_max = backoff_s_max
        self._frame: ClockFrame | None = None
        self._heard_at = 0
        self._told = 0
        self._changed = asyncio.Event()
        self._trouble = "nothing was tried yet"
        self._follower: asyncio.Task[None] | None = None

    def now(self) -> int:
        """The venue's time, nanoseconds UTC; never less than a value returned before.

        Raises:
            ClockUnavailable: no frame has been heard yet.
        """
        if self._frame is None:
            raise ClockUnavailable(
                f"the venue clock {self.url} has not been heard: {self._trouble}; await connect() first"
            )
        self._told = max(self._told, self._extrapolated(self._frame))
        return self._told

    @property
    def speed(self) -> float:
        """How many venue seconds pass in one of ours; 0.0 means lock-step (or not heard yet)."""
        return self._frame.speed if self._frame else 0.0

    async def sleep_until(self, due: int) -> None:
        """Return once `now() >= due`; a step or a change of speed is noticed at once."""
        while self.now() < due:
            changed, frame = self._changed, self._frame
            wait_s = None
            if frame is not None and frame.speed > 0:
                wait_s = min((due - self._extrapolated(frame)) / SECOND / frame.speed, SLEEP_S_MAX)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), wait_s)

    async def connect(self, deadline_s: float = 10.0) -> None:
        """Start following, and return when the first frame has been heard.

        Raises:
            ClockUnavailable: nothing understandable was heard within `deadline_s`; following has been given up.
        """
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow(), name=f"venue clock {self.url}")
        try:
            async with asyncio.timeout(deadline_s):
                while self._frame is None:
                    await self._changed.wait()
        except TimeoutError:
            await self.close()
            raise ClockUnavailable(
                f"no time from the venue clock {self.url} within {deadline_s:g} s ({self._trouble}); "
                "is the venue running, and does BULKHEAD_CLOCK_URL name its clock?"
            ) from None

    async def close(self) -> None:
        """Stop following. The last frame stays in force."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.cancel()
            with suppress(asyncio.CancelledError):
                await follower
        self.connected = False

    # --- inside -----------------------------------------------------------------------------------------------

    def _extrapolated(self, frame: ClockFrame) -> int:
        return frame.now_ns + int((self._monotonic() - self._heard_at) * frame.speed)

    async def _follow(self) -> None:
        backoff_s = 0.05
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                heard_before = self._heard_at
                try:
                    await self._listen(session)
                except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
                    self._trouble = f"{type(error).__name__}: {error}"[:200]
                if self.connected:
                    _log.warning("venue_clock_lost", url=self.url, reason=self._trouble)
                self.connected = False
                backoff_s = 0.05 if self._heard_at != heard_before else min(backoff_s * 2, self._backoff_s_max)
                await asyncio.sleep(backoff_s)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(self.url, max_msg_size=_FRAME_BYTES_MAX) as socket:
            while True:
                message = await socket.receive(timeout=self._silence_s_max)
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    self._trouble = f"the venue ended the connection ({message.type.name})"
                    return
                self._hear(_decode(message.data))

    def _hear(self, frame: ClockFrame) -> None:
        behind = self._told - frame.now_ns
        if self._frame is not None and behind > SECOND * max(1.0, frame.speed):
            _log.warning("venue_clock_went_back", url=self.url, behind_ns=behind)
        if not self.connected:
            _log.info("venue_clock_connected", url=self.url, now_ns=frame.now_ns, speed=frame.speed)
        self.connected = True
        self._frame, self._heard_at = frame, self._monotonic()
        self._changed.set()
        self._changed = asyncio.Event()


def open_clock(url: str) -> SystemClock | VenueClock:
    """The clock that `url` names: wall time for "", else the venue's. Both want `await connect()` before and `close()` after."""
    return VenueClock(url) if url else SystemClock()


def _decode(raw: str | bytes) -> ClockFrame:
    frame = msgspec.json.decode(raw, type=ClockFrame)
    if not (math.isfinite(frame.speed) and frame.speed >= 0 and frame.now_ns >= 0):
        raise ValueError(f"not a clock frame: now_ns {frame.now_ns}, speed {frame.speed}")
    return frame
