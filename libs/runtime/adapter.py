"""The port between a machine and the world. Only services that touch the world have one, in `adapters/`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

from libs.common.messages import Answer, Message
from libs.runtime.core import Asked


class Clock(Protocol):
    """The one clock port: wall time live, the venue's time when exchange_sim runs at SPEED or in lock-step."""

    def now(self) -> int:
        """Nanoseconds UTC."""
        ...

    async def sleep_until(self, due: int) -> None:
        """Return once `now() >= due` on this clock."""
        ...


class LogEntry(msgspec.Struct, frozen=True):
    """One message as it stands in the log; `traceparent` is its W3C trace header, where the reader has seen headers."""

    seq: int
    subject: str
    payload: bytes
    traceparent: str = ""


class AdapterContext(msgspec.Struct):
    """What the shell lends an adapter.

    `emit` queues a source event for the log (the adapter sets `ts_event`, `ts_init = clock.now()` and, for facts that must
    be recognised when told twice, a derived `id`). `publish_market` sends to the MARKET stream: best effort, bounded, never
    waits. `read_log(durable, from_seq)` follows the log for a projection (a `Reader` of the contract), in order, for ever.
    `registry` is where prometheus series of its own belong (None: nowhere).
    `state` returns the machine's state, read-only. `logger` is structlog's.
    """

    emit: Callable[[Message], None]
    publish_market: Callable[[Message], None]
    clock: Clock
    state: Callable[[], Any]
    logger: Any
    holds_lease: Callable[[], Awaitable[bool]]
    read_log: Callable[[str, int], AsyncIterator[LogEntry]]
    registry: Any = None


class Adapter(Protocol):
    """One edge of the world. Operating errors are typed answers, never exceptions: an exception ends the process."""

    async def open(self, context: AdapterContext) -> None:
        """Connect; called once the machine has caught up with the log. Long-running readers are tasks it owns."""
        ...

    async def perform(self, asked: Asked) -> Answer:
        """Perform one request and return its answer (`request_id` = `asked.request_id`). Several run concurrently."""
        ...

    async def close(self) -> None:
        """Stop readers, close connections; within two seconds."""
        ...
