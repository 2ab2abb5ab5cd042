"""The port between a machine and the world. Only services that touch the world have one, in `adapters/`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from libs.common.messages import Answer, Message
from libs.runtime.core import Asked
from libs.runtime.weight_breaker import Lane


class Clock(Protocol):
    """The one clock port: wall time live, the venue's time when exchange_sim runs at SPEED or in lock-step."""

    def now(self) -> int:
        """Nanoseconds UTC."""
        ...

    async def sleep_until(self, due: int) -> None:
        """Return once `now() >= due` on this clock."""
        ...


class NotGranted(TimeoutError):
    """A request got no share of its venue's budget in time, and must not be sent; the text says what stands in its way."""


class VenueBudget(Protocol):
    """What this process may ask of a venue, shared by all processes behind one IP address (docs/decisions/0008)."""

    async def take(
        self, venue: str, weight: int, lane: Lane = "data", deadline_s: float = 60.0, *, orders: int = 0
    ) -> None:
        """Return once a request of this weight may leave; `orders`: how many new orders it places.

        Raises:
            NotGranted: not within `deadline_s`.
            ValueError: no window of this venue has room for so much.
        """
        ...

    def told(self, venue: str, status: int, headers: Mapping[str, str]) -> None:
        """The venue has answered a request: its status and headers."""
        ...


class Unmetered:
    """The budget of a service that calls no venue, and of an adapter under test: everything may leave at once."""

    async def take(
        self, venue: str, weight: int, lane: Lane = "data", deadline_s: float = 60.0, *, orders: int = 0
    ) -> None:
        """Nothing to wait for."""

    def told(self, venue: str, status: int, headers: Mapping[str, str]) -> None:
        """Nothing to learn."""

    async def keep(self) -> None:
        """Nothing to keep."""


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
    `registry` is where prometheus series of its own belong (None: nowhere). Before each request to a venue `budget` is asked.
    `state` returns the machine's state, read-only. `logger` is structlog's. `log_is_reachable` says whether what is emitted now
    would reach the log soon: connected, and neither an append nor the server has kept us waiting for longer than about two seconds.
    `lag` is how many events of the log were still unread when it was last heard.
    """

    emit: Callable[[Message], None]
    publish_market: Callable[[Message], None]
    clock: Clock
    state: Callable[[], Any]
    logger: Any
    holds_lease: Callable[[], Awaitable[bool]]
    read_log: Callable[[str, int], AsyncIterator[LogEntry]]
    registry: Any = None
    budget: VenueBudget = msgspec.field(default_factory=Unmetered)
    log_is_reachable: Callable[[], bool] = lambda: True
    lag: Callable[[], int] = lambda: 0


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
