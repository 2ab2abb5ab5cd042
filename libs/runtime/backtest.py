"""The backtest shell: every machine in one process over a log in memory, history in, no NATS, no waiting.

The machines, their settings and their order of work are those of the live system; what differs is that nothing takes time. A
source event is appended, everything that follows from it happens, and only then comes the next one. Timers that are due
before a source event fire first, in order of their due times. The log that results is an ordinary log: it replays. It is handed on
event by event (`Watch`) and not kept here, so that memory does not grow with history.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import Answer, Message, RequestExpired, ServiceStarted, TimerFired
from libs.common.subjects import subject_matches, subject_of
from libs.runtime.contract import Contract
from libs.runtime.core import Asked, ContractBroken, Core, Output
from libs.runtime.machine import Machine

NEVER = 2**63
"""Later than every instant of the log."""
_replace = msgspec.structs.replace
Emit = Callable[[Message], None]
Watch = Callable[[int, Message], None]
"""Is shown every event of the log, with its `seq`, once all its metadata is complete."""


class World(Protocol):
    """The edge of one service: answers its requests at once, and may tell further source events of that writer."""

    def perform(self, asked: Asked, now: int, emit: Emit) -> Answer:
        """Perform a request at `now` (ns). What the world says by itself goes to `emit`, behind the answer."""
        ...


class Player(msgspec.Struct, frozen=True):
    """One service of a backtest. `code_version` is that of its machine; "" : that of the backtest."""

    contract: Contract
    machine_class: type[Machine]
    settings: Any
    world: World | None = None
    seal: Callable[[Message], Message] | None = None
    code_version: str = ""


class _Seat:
    """A player at work: its core, and its position for the source events it says."""

    def __init__(self, player: Player):
        self.player = player
        self.writer = player.contract.writer
        self.core = Core(self.writer, player.machine_class, player.settings)
        self.seal = player.seal
        self.tail_seq = 0
        self.done = (0, 0)
        self.next_due = NEVER


class Backtest:
    """A log that is written and read in one process, and everybody who does."""

    def __init__(self, players: Iterable[Player], *, code_version: str, begin: int, watch: Watch):
        self.now = begin
        self._seq = 0
        self._watch = watch
        self._seats = {player.contract.writer: _Seat(player) for player in players}
        self._hearers: dict[tuple[type[Message], str, str], list[_Seat]] = {}
        self._waiting: deque[tuple[int, Message]] = deque()
        self._next_due = NEVER
        for seat in self._seats.values():
            started = ServiceStarted(
                instance="backtest",
                code_version=seat.player.code_version or code_version,
                settings=msgspec.to_builtins(seat.player.settings),
                state_digest=seat.core.digest(),
                ts_event=begin,
                ts_init=begin,
            )
            self._append_source(seat, started)
        self._drain()

    def tell(self, writer: str, message: Message) -> None:
        """A source event of `writer` (a price, a command) at its `ts_init`; returns once all that follows has happened."""
        self.advance(message.ts_init)
        self._say(writer, message)
        self._drain()

    def advance(self, now: int) -> None:
        """Let time pass until `now` (ns): fire every timer that is due by then, earliest first."""
        while self._next_due <= now:
            due, name, seat = self._earliest_timer()
            self.now = max(self.now, due)
            self._append_source(seat, TimerFired(name=name, due=due, ts_event=due, ts_init=self.now))
            self._drain()
        self.now = max(self.now, now)

    def state_of(self, writer: str) -> Any:
        """A machine's state, read-only."""
        return self._seats[writer].core.machine.state

    # --- inside -------------------------------------------------------------------------------------------------

    def _earliest_timer(self) -> tuple[int, str, _Seat]:
        seat = next(each for each in self._seats.values() if each.next_due == self._next_due)
        name = min(name for name, due in seat.core.memory.timers.items() if due == self._next_due)
        return self._next_due, name, seat

    def _look_at_timers(self, seat: _Seat) -> None:
        seat.core.timers_moved = False
        seat.next_due = min(seat.core.memory.timers.values(), default=NEVER)
        self._next_due = min([each.next_due for each in self._seats.values()])

    def _say(self, writer: str, message: Message) -> None:
        seat = self._seats.get(writer)
        if seat is not None:
            self._append_source(seat, message)
        else:  # an operator: a writer without a machine
            message_id = message.id or derive_id(writer, "source", self._seq)
            self._append(
                _replace(message, id=message_id, correlation_id=message.correlation_id or message_id, producer=writer)
            )

    def _append_source(self, seat: _Seat, message: Message) -> None:
        message_id = message.id or derive_id(seat.writer, "source", seat.tail_seq)
        done_in_seq, done_out_index = seat.done
        complete = _replace(
            message,
            id=message_id,
            correlation_id=message.correlation_id or message_id,
            done_in_seq=done_in_seq,
            done_out_index=done_out_index,
            producer=seat.writer,
        )
        seat.tail_seq = self._append(complete)

    def _append(self, message: Message) -> int:
        self._seq = seq = self._seq + 1
        self._waiting.append((seq, message))
        self._watch(seq, message)
        return seq

    def _drain(self) -> None:
        waiting = self._waiting
        while waiting:
            seq, message = waiting.popleft()
            key = (type(message), message.producer, getattr(message, "instrument", ""))
            hearers = self._hearers.get(key)
            if hearers is None:
                hearers = self._hearers[key] = self._hearers_of(subject_of(message))
            for seat in hearers:
                results = seat.core.step(seq, message)
                if seat.core.timers_moved:
                    self._look_at_timers(seat)
                if results:
                    self._take(seat, seq, results)
                else:
                    seat.done = (seq, 0)

    def _take(self, seat: _Seat, seq: int, results: list[Output | Asked]) -> None:
        place, seal = 0, seat.seal
        for result in results:
            if isinstance(result, Asked):
                self._perform(seat, result)
                continue
            output = seal(result.message) if seal else result.message
            place = output.done_out_index
            seat.done = (seq, place)
            seat.tail_seq = self._append(output)
        seat.done = (seq, place)

    def _perform(self, seat: _Seat, asked: Asked) -> None:
        if seat.player.world is None:
            raise ContractBroken(f"{seat.writer} asks the world but has none")
        spoken: list[Message] = []
        if self.now > asked.request.valid_until:
            answer: Answer = RequestExpired(request_id=asked.request_id, ts_event=self.now, ts_init=self.now)
        else:
            answer = seat.player.world.perform(asked, self.now, spoken.append)
        answer = _replace(answer, correlation_id=asked.correlation_id, causation_id=asked.causation_id)
        for message in (answer, *spoken):
            self._append_source(seat, message)

    def _hearers_of(self, subject: str) -> list[_Seat]:
        return [
            seat
            for seat in self._seats.values()
            if any(subject_matches(each, subject) for each in seat.player.contract.filters)
        ]
