"""Gap-proof ordered reading of a durable, over raw pull requests.

nats-py's `fetch` waits its whole timeout after a reconnect, and its ordered push consumer loses messages silently when a
buffer overflows (measured). Here consumer sequences are checked on every message and on every idle heartbeat, and every
doubt (a gap, a missed heartbeat, a reconnect, a takeover that swallowed messages) has one cure: CONSUMER.RESET to the first
sequence not yet seen, on a fresh inbox, so that an older pull cannot answer.

A log is read through its epochs: when one is read to its end, and there is another, reading goes on in the same durable there.

A durable knows nothing of its owners: whoever resets it begins its numbers again for everybody. Two things keep a process that
was frozen from leading its successor astray. It asks `may_read` (its lease) before it resets anything; and a reader believes a
number only if the message is not older than what it waits for and the server has not suddenly fewer messages left.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus
from libs.runtime.bus_errors import BusError, EpochOver
from libs.runtime.epochs import Epoch, after, holding

PULL_BATCH = 500
HEARTBEAT_S = 1.0
PULL_S = 3.0
"""How long one pull request stands. A frozen predecessor's pull swallows messages until it runs out: keep it short."""
PULLS_PER_INBOX = 1_000
"""Across accounts the server remembers every pull of an inbox until the inbox is gone: it is renewed now and then."""
MAY_READ_RETRY_S = 0.1
SECOND_NS = 1_000_000_000

MayRead = Callable[[], Awaitable[bool]]


class Pulled(msgspec.Struct, frozen=True):
    """One message, how many more the consumer had waiting behind it, and when it was stored (ns UTC by the bus's clock)."""

    entry: LogEntry
    waiting: int
    stored_at: int


class OrderedPull:
    """Reads a durable in order from `start_seq`, each message once, through reconnects, gaps and takeovers.

    `may_read` says whether the durable is certainly ours; while it does not, nothing is reset. None: there is no other owner.
    """

    def __init__(
        self,
        bus: Bus,
        durable: str,
        start_seq: int,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        batch: int = PULL_BATCH,
        may_read: MayRead | None = None,
    ):
        self._bus = bus
        self._durable = durable
        self._next_seq = start_seq
        self._heartbeat_s = heartbeat_s
        self._batch = batch
        self._may_read = may_read
        self._inbox = ""
        self._pulls = 0
        self._consumer_seq = 0
        self._wanted = 0
        self._buffer: deque[Msg] = deque()
        self._arrived = asyncio.Event()
        bus.wake_when_back.add(self._arrived)
        self._subscription: Any = None
        self._is_broken = True
        self._breaks = bus.breaks
        self._epoch: Epoch | None = None
        self._heard_at = time.monotonic()
        self.resets = 0
        self.scanned_seq = start_seq - 1
        self.waiting = 0

    async def next(self) -> Pulled | None:
        """The next message; None when the reader has caught up or after a heartbeat without news."""
        while True:
            if self._is_in_doubt:
                await self._reset()
                if self.waiting == 0:
                    await self._look_ahead()
                    return None
            if not self._buffer:
                self._is_broken |= not await self._wait()
                continue  # it may be the bus, back from an outage, that woke us
            message = self._buffer.popleft()
            await self._ask_again()
            pulled = self._take(message)
            if pulled is not None:
                return pulled
            if self.is_idle:
                await self._look_ahead()
                return None

    @property
    def is_idle(self) -> bool:
        """Whether everything the server has announced was handed out, and nothing is in doubt."""
        return not self._buffer and self.waiting == 0 and not self._is_in_doubt

    @property
    def _is_in_doubt(self) -> bool:
        return self._is_broken or self._breaks != self._bus.breaks or self._is_at_the_end_of_an_old_epoch

    @property
    def _is_at_the_end_of_an_old_epoch(self) -> bool:
        newest = self._bus.epochs.newest
        is_old = self._epoch is not None and newest is not None and newest.name != self._epoch.name
        return is_old and not self._buffer and self.waiting == 0

    @property
    def silent_s(self) -> float:
        """For how long the server has owed us a word; while we ask for nothing it owes none."""
        return time.monotonic() - self._heard_at if self._wanted else 0.0

    async def close(self) -> None:
        """Stop listening; the server drops the outstanding pull for want of interest."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._bus.client.is_closed:  # while disconnected it is only forgotten
            await subscription.unsubscribe()

    async def _wait(self) -> bool:
        self._arrived.clear()
        try:
            async with asyncio.timeout(self._heartbeat_s * 2.5):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def _look_ahead(self) -> None:
        """At the end of what there is: the log may go on in another epoch by now. Then this one is read to its end once more, and on there.

        Raises:
            EpochOver: it does, and this connection is settled in the epoch before.
        """
        try:
            await self._bus.epochs.look_for_new()
        except EpochOver:
            raise
        except BusError:  # it is asked again
            return

    async def _reset(self) -> None:
        """Begin again at the first message not yet seen, on a fresh inbox, so that an older pull cannot answer."""
        self._is_broken = True  # until the server has answered
        await self.close()
        self._buffer.clear()
        await self._bus.wait_connected()
        self._breaks = self._bus.breaks
        self._wanted = self._batch
        answer = await self._retry_reset()
        while not answer["num_pending"] and await self._moved_on():
            answer = await self._retry_reset()
        self._is_broken = False
        self._heard_at = time.monotonic()
        self.waiting = int(answer["num_pending"])
        self.scanned_seq = max(self.scanned_seq, int(answer["delivered"]["stream_seq"]))
        self._consumer_seq = 0
        self._pulls = 0
        self.resets += 1
        self._inbox = self._bus.client.new_inbox()
        self._subscription = await self._bus.client.subscribe(
            self._inbox, cb=self._arrive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self._ask()

    async def _moved_on(self) -> bool:
        """Go on in the epoch after this one, if there is one: this one took nothing any more when that was made, and holds nothing that we have not read."""
        assert self._epoch is not None
        following = after(await self._bus.epochs.known(), self._epoch)
        if following is None:
            return False
        self._epoch = following
        self._next_seq = max(self._next_seq, following.first_seq)
        self.scanned_seq = max(self.scanned_seq, following.first_seq - 1)
        return True

    async def _retry_reset(self) -> dict[str, Any]:
        """CONSUMER.RESET; a bus that does not answer is waited for: reading can be repeated without harm."""
        delay_s = 0.05
        while True:
            while self._may_read is not None and not await self._may_read():  # noqa: ASYNC110  (a lease ends without a word)
                await asyncio.sleep(MAY_READ_RETRY_S)
            try:
                stream = await self._stream()
                answer = await self._bus.api(f"CONSUMER.RESET.{stream}.{self._durable}", seq=self._next_seq)
            except BusError:
                await self._must_exist()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 1.0)
                continue
            if "error" not in answer:
                return answer
            raise BusError(f"cannot read the log as {self._durable}: {answer['error']['description']}")

    async def _stream(self) -> str:
        """The stream in which the next message stands."""
        if self._epoch is None:
            self._epoch = holding(await self._bus.epochs.known(), self._next_seq)
        return self._epoch.name

    async def _must_exist(self) -> None:
        """A reset of a durable that is not there gets no answer at all; its info does."""
        try:
            stream = await self._stream()
            answer = await self._bus.api(f"CONSUMER.INFO.{stream}.{self._durable}")
        except BusError:  # the bus is away
            return
        if "error" in answer:
            what = f"{self._durable} of {stream}"
            raise BusError(f"cannot read the log as {what}: {answer['error']['description']} (was it provisioned?)")

    async def _ask(self) -> None:
        self._wanted = self._batch
        self._pulls += 1
        request = {
            "batch": self._batch,
            "expires": int(PULL_S * SECOND_NS),
            "idle_heartbeat": int(self._heartbeat_s * SECOND_NS),
        }
        assert self._epoch is not None
        subject = f"{self._bus.api_root}.CONSUMER.MSG.NEXT.{self._epoch.name}.{self._durable}"
        try:
            await self._bus.client.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        except NatsError:  # disconnected between two lines
            self._is_broken = True

    async def _arrive(self, message: Msg) -> None:
        self._heard_at = time.monotonic()
        status = _status_of(message)
        if status == "408" and self._pulls < PULLS_PER_INBOX:  # the request has run its time, nothing is lost
            self._wanted = 0
        else:
            self._buffer.append(message)
            self._arrived.set()
            self._wanted -= status is None
        await self._ask_again()

    async def _ask_again(self) -> None:
        """The next pull, once the last one has ended and what it brought is mostly handed out: memory does not follow the log."""
        if self._wanted == 0 and len(self._buffer) < self._batch:
            await self._ask()

    def _take(self, message: Msg) -> Pulled | None:
        status = _status_of(message)
        if status is not None:
            self._take_status(status, message.headers or {})
            return None
        tokens = message.reply.split(".")
        stream_seq, consumer_seq, waiting = int(tokens[-4]), int(tokens[-3]), int(tokens[-1])
        is_next = consumer_seq == self._consumer_seq + 1 and stream_seq >= self._next_seq
        if not is_next or waiting < self.waiting - 1:
            self._is_broken = True
            return None
        self._consumer_seq = consumer_seq
        self.waiting = waiting
        self.scanned_seq = max(self.scanned_seq, stream_seq)
        self._next_seq = stream_seq + 1
        trace = message.headers.get("traceparent", "") if message.headers else ""
        return Pulled(LogEntry(stream_seq, message.subject, message.data, trace), waiting, int(tokens[-2]))

    def _take_status(self, status: str, headers: dict[str, str]) -> None:
        """A heartbeat must know of nothing we have not seen; any other status ends the pull, and we begin a new one."""
        if status == "100":
            is_all = int(headers.get("Nats-Last-Consumer", self._consumer_seq)) == self._consumer_seq
            if not is_all or (self.waiting and not self._buffer):  # silence, though more was announced
                self._is_broken = True
            elif not self._buffer:
                self.scanned_seq = max(self.scanned_seq, int(headers.get("Nats-Last-Stream", 0)))
        else:
            self._is_broken = True


async def follow(bus: Bus, durable: str, from_seq: int, may_read: MayRead | None = None) -> AsyncIterator[LogEntry]:
    """The log as `durable` sees it, in order, for ever; closes its pull when it is closed."""
    pull = OrderedPull(bus, durable, from_seq, may_read=may_read)
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
