"""The reader that keeps SQL up to date: it follows the log at its own pace and disturbs nobody.

Every life begins the same way, whatever ended the one before: connect, bring the schema up to date, ask the database where it
stands, follow the log from there. So a lost connection, a full disk, a restored backup and a restart of this process are one
case. While the database is down the machine books on, and the log keeps what is missing; lives are tried again with
growing pauses, and each change of state is logged once. After a few lives that ended through the database its breaker opens (`outage`), and
the next one is a probe: it commits what is missing, or the pause doubles. A database that belongs to another log, or whose tables are too new for this
code, is refused, and left alone.

    read_log ──▶ queue (bounded) ──▶ batches: up to `batch_max` events or `batch_ms` ──▶ thread: rows and position, one commit

The calls that wait for a database run in a daemon thread each, so that a database that hangs can hold up neither the event loop
nor the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal, NoReturn, TypeVar

import msgspec
from prometheus_client import CollectorRegistry
from sqlalchemy import URL

from libs.common.messages import Answer
from libs.common.metrics import trading as declared
from libs.runtime.adapter import AdapterContext, LogEntry
from libs.runtime.bus import BusError
from libs.runtime.core import Asked
from libs.runtime.made_metrics import gauge_of
from libs.runtime.redaction import SECRET_CHARS_MIN, redact, register_secret
from services.ledger.adapters.outage import DatabaseBreaker
from services.ledger.adapters.projection import PositionMoved, Projection, WrongLog
from services.ledger.adapters.schema import SchemaTooNew
from services.ledger.contract import PROJECTION
from services.ledger.settings import Settings

State = Literal["STARTING", "FOLLOWING", "DOWN", "REFUSED"]
PAUSE_S_MIN = 0.2
PAUSE_S_MAX = 5.0
NOT_THE_DATABASES = (EOFError, PositionMoved, BusError)
"""What ends a life without saying anything of the database: the log ended, another process wrote, the bus is away."""
NOT_OURS = (WrongLog, SchemaTooNew)
"""What only a person can change: the database is refused, and left alone."""
CLOSE_S_MAX = 1.5
REASON_CHARS_MAX = 300
SECOND = 1_000_000_000
T = TypeVar("T")


class _Gauges:
    """What /metrics says of the projection."""

    def __init__(self, registry: CollectorRegistry | None):
        self.up = gauge_of(declared.PROJECTION_UP, registry)
        self.position = gauge_of(declared.PROJECTION_POSITION, registry)
        self.lag_events = gauge_of(declared.PROJECTION_LAG_EVENTS, registry)
        self.lag_s = gauge_of(declared.PROJECTION_LAG_SECONDS, registry)


class Lag(msgspec.Struct, frozen=True):
    """How far SQL is behind what was read of the log; `oldest_s` is the age of the oldest missing event, 0 if none is."""

    state: State
    reason: str
    position: int
    events: int
    oldest_s: float


class _Times(msgspec.Struct):
    ts_init: int = 0


class SqlProjection:
    """The ledger's adapter. The machine asks the world for nothing; this only follows the log."""

    def __init__(self, settings: Settings):
        self._url: URL = settings.sql_url()
        self._batch_max = settings.projection_batch_max
        self._batch_s = settings.projection_batch_ms / 1000
        self._state: State = "STARTING"
        self._reason = ""
        self._position = 0
        self._waiting: asyncio.Queue[LogEntry] = asyncio.Queue()
        self._batch: list[LogEntry] = []
        self._pause_s = PAUSE_S_MIN
        self._has_opened = self._fails_to_open = False
        password = self._url.password
        if password is not None and len(password.strip()) >= SECRET_CHARS_MIN:
            register_secret(password)

    async def open(self, context: AdapterContext) -> None:
        """Begin to follow the log. Never fails: a database that is not there is a state, not an error."""
        self._context = context
        self._gauges = _Gauges(context.registry)
        self._breaker = DatabaseBreaker(context)
        self._task = asyncio.create_task(self._live(), name="ledger projection")

    async def perform(self, asked: Asked) -> Answer:
        """The ledger's machine makes no requests; one would be a defect."""
        raise NotImplementedError(f"the ledger asks the world for nothing, got {type(asked.request).__name__}")

    async def close(self) -> None:
        """Stop following. A commit under way ends in its thread or with the process: rows and position go together either way."""
        self._task.cancel()
        await asyncio.wait([self._task], timeout=CLOSE_S_MAX)

    def lag(self) -> Lag:
        """How far behind SQL is, and why."""
        events = len(self._batch) + self._waiting.qsize()
        age = 0.0
        if self._batch:
            born = msgspec.json.decode(self._batch[0].payload, type=_Times).ts_init
            age = max(0, self._context.clock.now() - born) / SECOND
        return Lag(self._state, self._reason, self._position, events, age)

    # --- lives ----------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            await self._breaker.allowed()
            self._has_opened = False
            ended: BaseException | None = None
            try:
                await self._follow()
            # whatever it was, a defect here included, must not reach the machine: it is logged, and a new life begins
            except* Exception as group:  # noqa: BLE001
                ended = _first(group)
            self._batch = []
            if isinstance(ended, NOT_OURS):
                self._become("REFUSED", str(ended))
                self._breaker.refused(str(ended))
                return
            self._become("DOWN", _described(ended))
            if isinstance(ended, NOT_THE_DATABASES):
                self._breaker.unproven()
            else:
                self._breaker.failed(self._reason)
                self._fails_to_open = not self._has_opened
            if self._breaker.is_closed:  # else the breaker says when
                await asyncio.sleep(self._pause_s)
                self._pause_s = min(self._pause_s * 2, PAUSE_S_MAX)

    async def _follow(self) -> None:
        projection = await _in_thread(Projection.open, self._url)
        self._has_opened = True
        if self._fails_to_open:  # it could not even be opened, and now it can be
            self._breaker.committed()
        try:
            self._position = projection.position()
            self._waiting = asyncio.Queue(maxsize=2 * self._batch_max)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(self._position))
                await self._write(projection)
        finally:
            projection.close()

    async def _read(self, position: int) -> None:
        """Put the log into the queue, beginning with the very event the database stopped at: it proves that the log is the same."""
        async with aclosing(self._context.read_log(PROJECTION.durable, max(position, 1))) as log:  # type: ignore[type-var]
            async for entry in log:
                if entry.seq < position:
                    raise WrongLog(
                        f"the database stands at event {position}, but the log is only at {entry.seq}: it went backwards or is "
                        "another one. Restore the log, or empty the database and it is filled again"
                    )
                await self._waiting.put(entry)
        raise EOFError("the log ended")

    async def _write(self, projection: Projection) -> NoReturn:
        while True:
            if self._breaker.is_closed:  # else it is only being tried: a full disk opens, and commits nothing
                self._become("FOLLOWING", "")
            await self._fill_batch()
            skipped = await _in_thread(projection.apply, self._batch)
            self._batch = []
            self._position = projection.position()
            self._pause_s = PAUSE_S_MIN
            self._fails_to_open = False
            self._breaker.committed()
            for each in skipped:
                self._context.logger.error(
                    "event left out of SQL", seq=each.seq, subject=each.subject, reason=each.reason
                )
            self._show()

    async def _fill_batch(self) -> None:
        self._batch = [await self._waiting.get()]
        self._show()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._batch_s):
                while len(self._batch) < self._batch_max:
                    self._batch.append(await self._waiting.get())

    # --- state ----------------------------------------------------------------------------------------------------

    def _become(self, state: State, reason: str) -> None:
        before, self._state, self._reason = self._state, state, reason
        if state != before:
            log = self._context.logger.info if state == "FOLLOWING" else self._context.logger.error
            log("projection " + state.lower(), position=self._position, reason=reason)
        self._show()

    def _show(self) -> None:
        lag = self.lag()
        self._gauges.up.set(lag.state == "FOLLOWING")
        self._gauges.position.set(lag.position)
        self._gauges.lag_events.set(lag.events)
        self._gauges.lag_s.set(lag.oldest_s)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The refusal among the exceptions, if there is one, else the first."""
    leaves: list[BaseException] = []
    for each in group.exceptions:
        leaves.append(_first(each) if isinstance(each, BaseExceptionGroup) else each)
    return next((leaf for leaf in leaves if isinstance(leaf, NOT_OURS)), leaves[0])


def _described(error: BaseException | None) -> str:
    """What happened, without statements, parameters or secrets."""
    orig = getattr(error, "orig", None) or error
    lines = str(orig).strip().splitlines() or [""]
    return redact(f"{type(orig).__name__}: {lines[0]}")[:REASON_CHARS_MAX]


async def _in_thread(work: Callable[..., T], *args: Sequence[LogEntry] | URL) -> T:
    """`work(*args)` in a daemon thread of its own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = (work(*args), None)
        except BaseException as error:  # noqa: BLE001  (handed to whoever waits)
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="ledger-sql", daemon=True).start()
    return await future
