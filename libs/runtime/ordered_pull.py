"""Gap-proof ordered reading of a durable, over raw pull requests.

nats-py's `fetch` waits its whole timeout after a reconnect, and its ordered push consumer loses messages silently when a
buffer overflows (measured). Here consumer sequences are checked on every message and on every idle heartbeat, and every
doubt (a gap, a missed heartbeat, a reconnect, a takeover that swallowed messages) has one cure: CONSUMER.RESET to the first
sequence not yet seen, on a fresh inbox, so that an older pull cannot answer.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError

PULL_BATCH = 500
HEARTBEAT_S = 1.0
PULL_S = 3.0
"""How long one pull request stands. A frozen predecessor's pull swallows messages until it runs out: keep it short."""
SECOND_NS = 1_000_000_000


class Pulled(msgspec.Struct, frozen=True):
    """One message, and how many more the consumer had waiting behind it."""

    entry: LogEntry
    waiting: int


class OrderedPull:
    """Reads a durable in order from `start_seq`, each message once, through reconnects, gaps and takeovers."""

    def __init__(
        self, bus: Bus, durable: str, start_seq: int, *, heartbeat_s: float = HEARTBEAT_S, batch: int = PULL_BATCH
    ):
        self._bus = bus
        self._durable = durable
        self._next_seq = start_seq
        self._heartbeat_s = heartbeat_s
        self._batch = batch
        self._inbox = ""
        self._consumer_seq = 0
        self._wanted = 0
        self._buffer: deque[Msg] = deque()
        self._arrived = asyncio.Event()
        self._subscription: Any = None
        self._is_broken = True
        self._reconnects = -1
        self.resets = 0
        self.scanned_seq = start_seq - 1
        self.waiting = 0

    async def next(self) -> Pulled | None:
        """The next message; None when the reader has caught up or after a heartbeat without news."""
        while True:
            if self._is_broken or self._reconnects != self._bus.reconnects:
                await self._reset()
                if self.waiting == 0:
                    return None
            if not self._buffer and not await self._wait():
                self._is_broken = True
                continue
            message = self._buffer.popleft()
            pulled = self._take(message)
            if pulled is not None:
                return pulled
            if self.is_idle:
                return None

    @property
    def is_idle(self) -> bool:
        """Whether everything the server has announced was handed out."""
        return not self._buffer and self.waiting == 0

    async def close(self) -> None:
        """Stop listening; the server drops the outstanding pull for want of interest."""
        if self._subscription is not None and self._bus.is_connected:
            await self._subscription.unsubscribe()
        self._subscription = None

    async def _wait(self) -> bool:
        self._arrived.clear()
        try:
            async with asyncio.timeout(self._heartbeat_s * 2.5):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def _reset(self) -> None:
        """Begin again at the first message not yet seen, on a fresh inbox, so that an older pull cannot answer."""
        await self.close()
        self._buffer.clear()
        self._reconnects = self._bus.reconnects
        self._is_broken = False
        answer = await self._retry_reset()
        self.waiting = int(answer["num_pending"])
        self.scanned_seq = max(self.scanned_seq, int(answer["delivered"]["stream_seq"]))
        self._consumer_seq = 0
        self.resets += 1
        self._inbox = self._bus.client.new_inbox()
        self._subscription = await self._bus.client.subscribe(
            self._inbox, cb=self._arrive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self._ask()

    async def _retry_reset(self) -> dict[str, Any]:
        """CONSUMER.RESET; a bus that does not answer is waited for: reading can be repeated without harm."""
        delay_s = 0.05
        while True:
            try:
                answer = await self._bus.api(f"CONSUMER.RESET.{self._bus.stream}.{self._durable}", seq=self._next_seq)
            except BusError:
                await self._must_exist()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 1.0)
                continue
            if "error" not in answer:
                return answer
            raise BusError(f"cannot read the log as {self._durable}: {answer['error']['description']}")

    async def _must_exist(self) -> None:
        """A reset of a durable that is not there gets no answer at all; its info does."""
        try:
            answer = await self._bus.api(f"CONSUMER.INFO.{self._bus.stream}.{self._durable}")
        except BusError:  # the bus is away
            return
        if "error" in answer:
            what = f"{self._durable} of {self._bus.stream}"
            raise BusError(f"cannot read the log as {what}: {answer['error']['description']} (was it provisioned?)")

    async def _ask(self) -> None:
        self._wanted = self._batch
        request = {
            "batch": self._batch,
            "expires": int(PULL_S * SECOND_NS),
            "idle_heartbeat": int(self._heartbeat_s * SECOND_NS),
        }
        subject = f"{self._bus.api_root}.CONSUMER.MSG.NEXT.{self._bus.stream}.{self._durable}"
        try:
            await self._bus.client.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        except NatsError:  # disconnected between two lines: the reconnect count has changed, so `next` resets
            self._is_broken = True

    async def _arrive(self, message: Msg) -> None:
        status = _status_of(message)
        if status == "408":  # the request has run its time, nothing is lost
            await self._ask()
            return
        self._buffer.append(message)
        self._arrived.set()
        if status is None:
            self._wanted -= 1
            if self._wanted == 0:
                await self._ask()

    def _take(self, message: Msg) -> Pulled | None:
        status = _status_of(message)
        if status is not None:
            self._take_status(status, message.headers or {})
            return None
        tokens = message.reply.split(".")
        stream_seq, consumer_seq, waiting = int(tokens[-4]), int(tokens[-3]), int(tokens[-1])
        if consumer_seq != self._consumer_seq + 1:
            self._is_broken = True
            return None
        self._consumer_seq = consumer_seq
        self.waiting = waiting
        self.scanned_seq = max(self.scanned_seq, stream_seq)
        self._next_seq = stream_seq + 1
        trace = message.headers.get("traceparent", "") if message.headers else ""
        return Pulled(LogEntry(stream_seq, message.subject, message.data, trace), waiting)

    def _take_status(self, status: str, headers: dict[str, str]) -> None:
        """A heartbeat must know of nothing we have not seen; any other status ends the pull, and we begin a new one."""
        if status == "100":
            if int(headers.get("Nats-Last-Consumer", self._consumer_seq)) != self._consumer_seq:
                self._is_broken = True
            elif not self._buffer:
                self.scanned_seq = max(self.scanned_seq, int(headers.get("Nats-Last-Stream", 0)))
                self.waiting = 0
        else:
            self._is_broken = True


async def follow(bus: Bus, durable: str, from_seq: int) -> AsyncIterator[LogEntry]:
    """The log as `durable` sees it, in order, for ever; closes its pull when it is closed."""
    pull = OrderedPull(bus, durable, from_seq)
    try:
        while True:
            pulled = await pull.next()
            if pulled is not None:
                yield pulled.entry
    finally:
        await pull.close()


def _status_of(message: Msg) -> str | None:
    """What the server says about the pull itself. A message of the log has a place to be acknowledged at, and may carry a header
    of the same name: whoever wrote it must not speak for the server."""
    return message.headers.get("Status") if message.headers and not message.reply else None
