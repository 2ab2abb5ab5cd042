"""The log as an operator's door has it: followed as it grows, folded, searchable, and open to orders. Gateway and bot are this and a protocol.

    bus ──▶ lease (a standby waits) ──▶ `started` ──▶ index (where it was read to) ──▶ catch up ──▶ LIVE
                                                                                          │ the bus goes away: what is known is still shown
    entries ──▶ view (fold) ──▶ sections, a few times a second, what has changed ──▶ listeners

What is shown is the log's; what the services say of themselves is asked of their health pages. Everything here can be thrown away and made
again from the log. Nothing here is waited for by anybody who trades.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from libs.common.codec import decode
from libs.common.messages import (
    AccessRefused,
    AlertRaised,
    Message,
    MuteCommanded,
)
from libs.desk import commands
from libs.desk.broadcast import Broadcast
from libs.desk.commands import NotSaid, Order, Outcome
from libs.desk.findings import Finding, findings_on_screen
from libs.desk.index import LogIndex, Row, Wanted, digest_of
from libs.desk.services import ServiceLine, probe
from libs.desk.status import LogSize, Status, status_of
from libs.desk.story import Story
from libs.desk.story_search import find_story
from libs.desk.story_target import decoded
from libs.desk.view import DeskView
from libs.desk.voice import Voice
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError
from libs.runtime.clock import SystemClock, VenueClock
from libs.runtime.contract import Contract
from libs.runtime.lease import Lease
from libs.runtime.nats_config import api_prefix, connect_options
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.settings import ServiceSettings
from libs.runtime.streams import LEASE_TTL_S

State = Literal["STARTING", "STANDBY", "CATCHING_UP", "LIVE", "DISCONNECTED"]

TELL_EVERY_S = 0.25
PROBE_EVERY_S = 1.0
SILENCE_S_MAX = 2.5
"""So long the server may owe us a word: it says every second that there is nothing new."""
BATCH_MAX = 500
BATCH_S_MAX = 0.2
YIELD_EVERY = 64
ASKING_MAX = 2
"""So many pages are looked up at once: what somebody asks for must not keep what is read from being recorded."""
_log = structlog.get_logger(__name__)


class Phase(msgspec.Struct, frozen=True):
    """How this door stands to the log: read to `processed_seq`, with `lag` events waiting behind it; since when (ns) in this state, and why."""

    state: State
    reason: str
    processed_seq: int
    lag: int
    since: int


class Desk:
    """One door's view of one log."""

    def __init__(
        self,
        contract: Contract,
        settings: ServiceSettings,
        clock: SystemClock | VenueClock,
        services: Mapping[str, str] | None = None,
        *,
        code_version: str = "",
    ):
        self.contract = contract
        self.view = DeskView()
        self.broadcast = Broadcast()
        self.services: dict[str, ServiceLine] = {}
        self._settings = settings
        self._clock = clock
        self._start = settings.instance, code_version
        self._urls = dict(services or {})
        self._index = LogIndex(Path(settings.home) / contract.service.replace("-", "_") / "index.db")
        self._asking = ThreadPoolExecutor(ASKING_MAX, "asking")
        self._state: State = "STARTING"
        self._reason = "waiting for the bus"
        self._since = clock.now()
        self._seq = 0
        self._pull: OrderedPull | None = None
        self._bus: Bus | None = None
        self._voice = Voice(contract.writer, clock, self._ready, lambda: self._seq)
        self.remarks: tuple[Finding, ...] = ()
        """What whoever runs this door has found beside the log and the services' own words."""

    # --- following the log --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the log for ever; everything else of this class may be called meanwhile.

        Raises:
            KeysError: the bus does not know our key. BusError, LeaseLost: begin again.
        """
        options = connect_options(self._settings.home, self.contract.service, self._settings.nats_url)
        stream, api = self._settings.log_stream, api_prefix(self.contract)
        bus = await Bus.connect(options, stream, api=api, on_error=lambda text: _log.warning("bus_error", text=text))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell())
                group.create_task(self._probe())
                lease = Lease(bus, self.contract.writer, self._settings.instance, LEASE_TTL_S)
                await lease.wait(lambda reason: self._become("STANDBY", reason))
                group.create_task(lease.keep(lambda error: _log.warning("lease_not_renewed", reason=str(error))))
                await commands.say_start(bus, self.contract.writer, *self._start, self._clock.now())
                self._bus = bus
                begins_at = await self._recall(bus)
                self._pull = OrderedPull(bus, self.contract.readers[0].durable, begins_at, may_read=lease.is_held)
                group.create_task(self._follow(self._pull))
        finally:
            await bus.close()

    def close(self) -> None:
        """Let go of the index."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._index.close()

    async def _recall(self, bus: Bus) -> int:
        """Fold what is on record, if it is of this log; returns the first event that is not."""
        self._become("CATCHING_UP", "reading what is on record")
        index = self._index
        await asyncio.to_thread(index.begin, bus.stream)
        position = await asyncio.to_thread(lambda: index.position)
        if position:
            entry = await bus.entry_at(position)
            if entry is None or digest_of(entry) != await asyncio.to_thread(index.last_digest):
                _log.warning("index_of_another_log", position=position)
                await asyncio.to_thread(index.forget)
                await asyncio.to_thread(index.begin, bus.stream)
                position = 0
        rows = await asyncio.to_thread(lambda: iter(index.all_after(0)))
        while piece := await asyncio.to_thread(_some_of, rows):
            for row in piece:
                if (entry := row.entry) is not None:
                    self._learn(entry, decode(entry.payload))
        self._seq = position
        return position + 1

    async def _follow(self, pull: OrderedPull) -> None:
        batch: list[tuple[LogEntry, Message | None]] = []
        began = time.monotonic()
        while True:
            pulled = await pull.next()
            if pulled is not None:
                said = decoded(pulled.entry)
                if said is not None:
                    self._learn(pulled.entry, said)
                self._seq = pulled.entry.seq
                batch.append((pulled.entry, said))
                if len(batch) % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            is_due = len(batch) >= BATCH_MAX or time.monotonic() - began >= BATCH_S_MAX or pull.is_idle
            if batch and is_due:
                await self._record(batch)
                batch, began = [], time.monotonic()
            if pull.is_idle and self._state != "LIVE" and self._is_heard(pull):
                self._become("LIVE", "")

    def _is_heard(self, pull: OrderedPull) -> bool:
        return self._bus is not None and self._bus.is_connected and pull.silent_s <= SILENCE_S_MAX

    async def _record(self, batch: list[tuple[LogEntry, Message | None]]) -> None:
        """Put it on record. A disk that does not take it costs the search, not the view: it is read again at the next start."""
        try:
            await asyncio.to_thread(self._index.add, batch)
        except SQLAlchemyError as error:
            text = f"the index cannot be written: {type(error).__name__}; it is made again from the log"
            raise BusError(text) from error

    def _learn(self, entry: LogEntry, said: Message) -> None:
        self.view.take(entry, said)
        self._voice.hear(entry.seq, said)

    def _become(self, state: State, reason: str) -> None:
        if (state, reason) != (self._state, self._reason):
            self._state, self._reason, self._since = state, reason, self._clock.now()
            _log.info("desk", state=state, reason=reason, seq=self._seq)

    @property
    def phase(self) -> Phase:
        """Where this door stands."""
        self._notice_an_outage()
        waiting = self._pull.waiting if self._pull is not None else 0
        return Phase(self._state, self._reason, self._seq, waiting, self._since)

    def _notice_an_outage(self) -> None:
        """A bus that is away, or frozen with its connections open: what is shown is what was known."""
        is_silent = self._pull is not None and self._pull.silent_s > SILENCE_S_MAX
        if self._state == "LIVE" and (self._bus is None or not self._bus.is_connected or is_silent):
            self._become("DISCONNECTED", "the bus does not answer: what is shown is what was known")

    # --- telling ------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """How things stand, as `bulkhead status` has it; how much stands in the log is not known here."""
        return status_of(self.view.standing, self.services, LogSize(self._settings.log_stream, 0, self._seq, 0, 0))

    def moment(self) -> dict[str, Any]:
        """The whole screen."""
        return {
            "desk": self.phase,
            "now": self._clock.now(),
            "findings": [*findings_on_screen(self.status(), self.view.alerts, self.now), *self.remarks],
            "services": [self.services[name] for name in sorted(self.services)],
            **self.view.sections(),
        }

    async def _tell(self) -> None:
        """A few times a second: the sections that have changed, and of the log the new lines alone (the longest section, and the liveliest)."""
        told = -1
        while True:
            moment = self.moment()
            lines = moment.pop("log")
            for kind, section in moment.items():
                self.broadcast.tell(self._seq, kind, msgspec.json.encode(section))
            new = [line for line in lines if line.seq > told]
            if new or told < 0:
                told = max((line.seq for line in new), default=0)
                encoded = msgspec.json.encode(lines)
                self.broadcast.tell_more(self._seq, "log", msgspec.json.encode(new), encoded)
            await asyncio.sleep(TELL_EVERY_S)

    async def _probe(self) -> None:
        while True:
            if self._urls:
                self.services = await probe(self._urls)
            await asyncio.sleep(PROBE_EVERY_S)

    # --- asking -------------------------------------------------------------------------------------------------

    async def page(self, wanted: Wanted, limit: int, *, newest_first: bool = True) -> list[Row]:
        """Events on record."""
        asked = partial(self._index.page, wanted, limit, newest_first=newest_first)
        return await asyncio.get_running_loop().run_in_executor(self._asking, asked)

    async def text_of(self, row: Row) -> bytes | None:
        """The text of an event, from the log where it is not on record; None: the log does not answer."""
        if row.payload is not None or self._bus is None:
            return row.payload
        with suppress(BusError):
            entry = await self._bus.entry_at(row.seq)
            return None if entry is None else entry.payload
        return None

    @property
    def now(self) -> int:
        """The time (ns UTC) of the clock that the stack follows."""
        return self._clock.now()

    async def server_time(self) -> str:
        """What the log's server says the time is (RFC 3339); "" where it does not say.

        Raises:
            BusError: it does not answer.
        """
        if self._bus is None:
            raise BusError("the bus has not answered yet")
        answer = await self._bus.api(f"STREAM.INFO.{self._bus.stream}")
        return str(answer.get("ts", ""))

    async def story(self, wanted: str) -> Story:
        """The one story that `wanted` means.

        Raises:
            Ambiguous, NothingCalled. BusError: a part of it stands in the log only, and the bus does not answer.
        """
        if self._bus is None:
            raise BusError("the bus has not answered yet")
        return await find_story(self._index, self._bus, wanted)

    # --- ordering -----------------------------------------------------------------------------------------------

    async def order(self, order: Order, said_as: str, wait_s: float) -> Outcome:
        """Say an order and wait up to `wait_s` for what it brings about; `said_as` is its name, under which it is said once.

        Raises:
            AlreadySaid: another order has this name. NotSaid: it is not known to be in the log. BusError: what came of it is not known.
        """
        return await self._voice.order(order, said_as, wait_s)

    def seq_of(self, said_as: str) -> int:
        """Where the order with this name stands, as far as is known; 0: nowhere."""
        return self._voice.seq_of(said_as)

    async def record(self, message: AccessRefused | AlertRaised | MuteCommanded) -> int:
        """Append a fact of our own; returns its seq.

        Raises:
            NotSaid: it is not known to be in the log.
        """
        return await self._voice.record(message)

    def _ready(self) -> Bus:
        phase = self.phase
        if self._bus is None or phase.state != "LIVE":
            raise NotSaid(
                f"this door is {phase.state}: {phase.reason or 'not ready'}",
                "use the command line on the machine of the stack, or try again",
            )
        return self._bus


def _some_of(rows: Any) -> list[Row]:
    return [row for _, row in zip(range(BATCH_MAX), rows, strict=False)]
