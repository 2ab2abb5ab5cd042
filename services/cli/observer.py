"""Reading the log as a person may: with the read-only observer identity, from the beginning to where it ends now.

There is one durable for people. Two commands that read through it at once would take turns at resetting it, so they
queue: whoever reads holds a lock on the observer's key file, which the kernel releases however the command ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from nats.errors import Error as NatsError

from libs.desk.status import LogSize
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError
from libs.runtime.epochs import holding
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, connect_options, key_file
from libs.runtime.ordered_pull import OrderedPull
from services.cli.exit_codes import NOT_YET, UNAVAILABLE, Failure
from services.cli.log_lines import Stored
from services.cli.place import Place, processes_of

CONNECT_S_MAX = 3.0
SILENCE_S_MAX = 10.0
TURN_S_MAX = 60.0
ASKED_AT_ONCE = 32
SECOND_NS = 1_000_000_000
LOOK_EVERY_S = 0.1


@asynccontextmanager
async def connected(place: Place, user: str, api: str, *, stays: bool = False) -> AsyncIterator[Bus]:
    """A connection to the stack's bus as `user`, given up quickly when there is none; one that `stays` outlives the server's.

    Raises:
        Failure: nobody is there. KeysError: this user's key is missing or readable by others.
    """
    where = f": nobody answers at {place.nats_url}" if place.is_known else ""
    down = Failure(
        UNAVAILABLE,
        f"no stack runs in {place.home}{where}",
        "start one with `bulkhead up`, or name another with --home",
    )
    if not await somebody_listens(place.nats_url):
        raise down
    options = connect_options(place.home, user, place.nats_url) | {"allow_reconnect": stays}
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            bus = await Bus.connect(options, place.stream, api=api)
    except TimeoutError as error:
        raise silent(place) from error
    except (NatsError, OSError) as error:
        raise Failure(
            UNAVAILABLE,
            f"the bus at {place.nats_url} does not accept {user}: {str(error) or type(error).__name__}",
            "is it the bus of this state folder? Name another with --home",
        ) from error
    try:
        yield bus
    finally:
        await bus.close()


def silent(place: Place) -> Failure:
    """The bus takes connections and says nothing: who it is, and what to do."""
    pid = processes_of(place).get("nats", 0)
    who = f"its process nats-server (pid {pid}) hangs or was stopped" if pid else "its process hangs or was stopped"
    cure = f"look at {place.home / 'logs' / 'nats.log'}; then "
    cure += f"`kill -CONT {pid}`, or `kill -KILL {pid}`: `bulkhead up` starts it anew" if pid else "start it anew"
    text = f"the bus at {place.nats_url} does not answer within {CONNECT_S_MAX:g} s: {who}"
    return Failure(UNAVAILABLE, text, cure)


async def somebody_listens(url: str) -> bool:
    """Whether a connection to `url` is accepted at all."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            _, writer = await asyncio.open_connection(address.hostname, address.port or 4222)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class Observer:
    """A connection that can only look."""

    def __init__(self, bus: Bus):
        self._bus = bus

    async def size(self) -> LogSize:
        """How much stands in the log now."""
        size = await self._bus.size()
        return LogSize(self._bus.stream, size.first_seq, size.last_seq, size.messages, size.bytes)

    async def entry_at(self, seq: int) -> LogEntry | None:
        """One entry."""
        return await self._bus.entry_at(seq)

    async def entries(self, from_seq: int, to_seq: int) -> AsyncIterator[LogEntry]:
        """Every entry from `from_seq` to `to_seq`, which must be in the log already.

        Raises:
            BusError: the bus fell silent.
        """
        async with aclosing(self.stored(from_seq, to_seq)) as found:
            async for each in found:
                yield each.entry

    async def stored(self, from_seq: int, to_seq: int) -> AsyncGenerator[Stored]:
        """The same, with the time at which each was stored.

        Raises:
            BusError: the bus fell silent.
        """
        if from_seq > to_seq:
            return
        pull = OrderedPull(self._bus, OBSERVER_USER, from_seq)
        try:
            while True:
                pulled = await self._next(pull)
                if pulled is None:
                    continue
                yield Stored(pulled.entry, pulled.stored_at)
                if pulled.entry.seq >= to_seq:
                    return
        finally:
            with suppress(NatsError):
                await pull.close()

    async def _next(self, pull: OrderedPull) -> Any:
        try:
            async with asyncio.timeout(SILENCE_S_MAX):
                return await pull.next()
        except TimeoutError:
            raise BusError(f"the bus fell silent while the log was read, at entry {pull.scanned_seq}") from None

    async def growing(self, from_seq: int) -> AsyncIterator[LogEntry | None]:
        """Every entry from `from_seq` on, for ever, one request each; None whenever there is nothing new for now.

        It needs no durable, so any number of people may look at once; a log that grows by thousands a second is read with `entries`.
        """
        seq = from_seq
        while True:
            entry = await self._bus.first_on(">", seq)
            if entry is not None:
                seq = entry.seq + 1
                yield entry
            else:
                yield None
                await asyncio.sleep(LOOK_EVERY_S)

    async def stored_at(self, seqs: Iterable[int]) -> dict[int, int]:
        """When the log itself stored these entries (ns UTC, by the server's clock)."""
        room = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(seq: int) -> tuple[int, int]:
            async with room:
                epoch = holding(await self._bus.epochs.known(), seq)
                answer = await self._bus.api(f"STREAM.MSG.GET.{epoch.name}", seq=seq)
            return seq, _nanoseconds(answer["message"]["time"]) if "message" in answer else 0

        return dict(await asyncio.gather(*(ask(seq) for seq in seqs)))


@asynccontextmanager
async def observing(place: Place) -> AsyncIterator[Observer]:
    """The log of a stack, for one reader at a time.

    Raises:
        Failure: no stack, or another command reads for too long. KeysError: the observer's key cannot be used.
    """
    async with connected(place, OBSERVER_USER, GUEST_API) as bus, _turn(place):
        yield Observer(bus)


@asynccontextmanager
async def looking(place: Place) -> AsyncIterator[Observer]:
    """The log of a stack, for as long as one likes, beside whoever else reads: for `Observer.growing`, not for `entries`.

    Raises:
        Failure: no stack. KeysError: the observer's key cannot be used.
    """
    async with connected(place, OBSERVER_USER, GUEST_API, stays=True) as bus:
        yield Observer(bus)


@asynccontextmanager
async def _turn(place: Place) -> AsyncIterator[None]:
    descriptor = os.open(key_file(place.home, OBSERVER_USER), os.O_RDONLY | os.O_CLOEXEC)
    try:
        await _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


async def _lock(descriptor: int) -> None:
    waited_s = 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if waited_s >= TURN_S_MAX:
                raise Failure(
                    NOT_YET,
                    f"another bulkhead command has been reading the log for {TURN_S_MAX:g} s",
                    "wait for it, or end it; then try again",
                ) from None
        await asyncio.sleep(0.05)
        waited_s += 0.05


def _nanoseconds(text: str) -> int:
    """RFC 3339 with up to nine digits: `2026-01-05T00:00:00.123456789Z`."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * SECOND_NS + int(fraction.ljust(9, "0")[:9] or 0)
