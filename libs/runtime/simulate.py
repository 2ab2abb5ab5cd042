"""The simulated shell: the live shell's logic (engine, recovery) over a simulated bus, clock and disk, under one seeded scheduler.

Everything that can go wrong is drawn from one random generator, so a seed is a bug report. Simulated are: delays on every
way, appends that are lost or stored without an answer, crashes between any two steps (in-flight appends still arrive, as they
do on a network), frozen processes that wake up as zombies beside their successor, snapshots that are kept or lost, power
loss of everything at once. What is acknowledged is never lost: that is what `sync_interval: always` was measured to give.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from libs.common.messages import Answer, Message
from libs.common.subjects import subject_matches
from libs.runtime.bus import Fenced
from libs.runtime.contract import Contract
from libs.runtime.core import Asked
from libs.runtime.engine import Append, Engine
from libs.runtime.machine import Machine
from libs.runtime.recovery import Restart, restart
from libs.runtime.simulated_log import MILLISECOND, Faults, Scheduler, SimulatedLog
from libs.runtime.snapshots import Snapshot, snapshot_of

STREAM = "TRADING_0001"
FROZEN_LOOK_MS = 500.0
RECOVERING_CRASHES = 0.2
"""How much rarer than others a process crashes that still reads the past: a long past would never be read to its end."""


class Edge(Protocol):
    """A service's simulated world."""

    def opened(self, node: Node) -> None:
        """The node has begun to live: source events may be emitted through `node.emit`."""
        ...

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """Perform a request; `reply` may be called later, or never."""
        ...

    def closed(self) -> None:
        """The node is gone; stop emitting."""
        ...


class Member(msgspec.Struct, frozen=True):
    """One service of the simulated stack. A node's `member` may be replaced while it runs: its next start is of the new kind."""

    contract: Contract
    machine_class: type[Machine]
    settings: Any
    edge: Edge | None = None
    seal: Callable[[Message], Message] | None = None
    code_version: str = "simulated"


class Node:
    """One service: its disk, and the process that happens to run now (an `_Incarnation`)."""

    def __init__(self, member: Member, log: SimulatedLog, scheduler: Scheduler, faults: Faults):
        self.member = member
        self.log = log
        self.scheduler = scheduler
        self.faults = faults
        self.snapshot: Snapshot | None = None
        self.watermark = 0
        self.starts = 0
        self.restores = 0
        self.process: _Incarnation | None = None
        log.listeners.append(self._log_grew)

    @property
    def name(self) -> str:
        """The service's name."""
        return self.member.contract.service

    @property
    def is_quiet(self) -> bool:
        """Whether the process lives, has read the whole log, and waits for nothing."""
        process = self.process
        return process is not None and process.is_quiet

    def start(self) -> None:
        """Begin a process that recovers from disk and log, as soon as the log can be reached."""
        if not self.log.is_reachable:
            self.scheduler.soon(self.faults.restart_ms_max, self.start)
            return
        self.starts += 1
        self.process = _Incarnation(self)
        self.process.pull_soon()

    def crash(self, *, freeze: bool = False) -> None:
        """End the process (or freeze it, to wake as a zombie) and start another a little later."""
        process, self.process = self.process, None
        if process is None:
            return
        random = self.scheduler.random
        if freeze:
            self.scheduler.soon(self.faults.restart_ms_max * 2, process.wake_as_zombie)
        else:
            process.is_alive = False
        if self.member.edge is not None:
            self.member.edge.closed()
        if random.random() < self.faults.snapshot_lost:
            self.snapshot = None
        self.scheduler.soon(self.faults.restart_ms_max, self.start)

    def emit(self, message: Message) -> None:
        """A source event from the edge."""
        if self.process is not None:
            self.process.emit(message)

    def state(self) -> Any:
        """The machine's state, read-only."""
        return self.process.engine.core.machine.state if self.process else None

    def _log_grew(self) -> None:
        if self.process is not None:
            self.process.pull_soon()


class _Incarnation:
    """One process of a node, from start to end."""

    def __init__(self, node: Node):
        self.node = node
        self.is_alive = True
        self.is_zombie = False
        self.is_frozen = False
        self.running = 0
        self._pulling = False
        self._filters = node.member.contract.filters
        self._timer_at: int | None = None
        past = _now(self._read_past())
        node.restores += past.used_snapshot
        self.engine = Engine(
            past.core,
            past.recovery,
            instance=f"sim-{node.starts}",
            code_version=node.member.code_version,
            started_at=node.scheduler.now,
            seal=node.member.seal,
        )
        self.engine.start_with(node.member.settings)
        self._next_seq = past.begins_at
        self._in_flight = False

    @property
    def is_quiet(self) -> bool:
        return (
            self.engine.is_quiescent
            and self._next_seq > len(self.node.log.entries)
            and not self.running
            and self._usable
        )

    def pull_soon(self) -> None:
        if not self._pulling and self._usable:
            self._pulling = True
            self.node.scheduler.soon(self.node.faults.delay_ms_max, self._pull)

    def emit(self, message: Message) -> None:
        if self._usable and not self.engine.recovering:
            self.engine.source(message)
            self._pump()

    def wake_as_zombie(self) -> None:
        """Go on where it stood, not knowing that time has passed and a successor writes."""
        self.is_zombie = True
        self._pulling = False
        self._pump()
        self.pull_soon()

    @property
    def _usable(self) -> bool:
        return self.is_alive and (self.node.process is self or self.is_zombie)

    def _read_past(self) -> Coroutine[Any, Any, Restart]:
        node = self.node
        return restart(
            node.log,
            node.member.contract,
            node.member.machine_class,
            node.member.settings,
            self._load_snapshot,
            node.watermark,
        )

    def _load_snapshot(self) -> Snapshot | None:
        snapshot = self.node.snapshot
        return snapshot if snapshot is not None and snapshot.code_version == self.node.member.code_version else None

    def _pull(self) -> None:
        self._pulling = False
        if not self._usable or not self.node.log.is_reachable:
            return
        entries, filters = self.node.log.entries, self._filters
        for _ in range(self.node.scheduler.random.randint(1, 32)):
            if self._next_seq > len(entries) or self.engine.is_full:
                break
            entry = entries[self._next_seq - 1]
            self._next_seq += 1
            if _heard(filters, entry.subject):
                self.engine.deliver(entry.seq, entry.subject, entry.payload)
                if self._might_crash():
                    return
        if self._next_seq <= len(entries):
            self.pull_soon()
        elif self.engine.recovering:
            self._begin_life()
        self._pump()

    def _begin_life(self) -> None:
        self.engine.caught_up(self.node.scheduler.now)
        if self.node.member.edge is not None and not self.is_zombie:
            self.node.member.edge.opened(self.node)

    def _pump(self) -> None:
        """Whatever can be done now: append, ask, arm the timer, snapshot."""
        if not self._usable:
            return
        self._append_next()
        for asked in self.engine.take_requests(self.node.scheduler.now):
            self._perform(asked)
        self._append_next()  # a request that has expired is answered at once
        self._arm_timer()
        self._maybe_snapshot()

    def _append_next(self) -> None:
        append = None if self._in_flight else self.engine.next_append()
        if append is not None:
            self._send(append)

    def _send(self, append: Append) -> None:
        self._in_flight = True
        faults, scheduler = self.node.faults, self.node.scheduler
        if scheduler.random.random() < faults.append_lost:
            scheduler.after_ms(faults.append_timeout_ms, self._append_timed_out)
            return
        scheduler.soon(faults.delay_ms_max, lambda: self._reach_server(append))

    def _reach_server(self, append: Append) -> None:
        """The message arrives whether or not its sender still lives."""
        scheduler, faults, log = self.node.scheduler, self.node.faults, self.node.log
        if not log.is_reachable:
            scheduler.after_ms(faults.append_timeout_ms, self._append_timed_out)
            return
        try:
            if append.dead_copy_of is not None:
                log.dead.setdefault(append.dead_copy_of, log.entries[append.dead_copy_of - 1])
            seq = log.append(append, self.node.member.contract.writer)
        except Fenced:
            scheduler.soon(faults.delay_ms_max, self._fenced)
            return
        if scheduler.random.random() < faults.ack_lost:
            scheduler.after_ms(faults.append_timeout_ms, self._append_timed_out)
        else:
            scheduler.soon(faults.delay_ms_max, lambda: self._acknowledged(seq))

    def _acknowledged(self, seq: int) -> None:
        if not self._usable:
            if self.is_alive:  # frozen: what the server said waits for whoever wakes up
                self.node.scheduler.after_ms(FROZEN_LOOK_MS, lambda: self._acknowledged(seq))
            return
        self._in_flight = False
        self.engine.appended(seq)
        self.node.watermark = max(self.node.watermark, seq)
        if not self._might_crash():
            self._pump()
            self.pull_soon()

    def _append_timed_out(self) -> None:
        self._die()

    def _fenced(self) -> None:
        self._die()

    def _die(self) -> None:
        self.is_alive = False
        if self.node.process is self:
            self.node.crash()

    def _perform(self, asked: Asked) -> None:
        if self.is_zombie or self.node.member.edge is None:  # a zombie's lease has run out: its adapter sends nothing
            return
        self.running += 1

        def reply(answer: Answer) -> None:
            if self._usable:
                self.running -= 1
                self.engine.answer(asked, answer)
                self._pump()

        self.node.member.edge.perform(asked, reply)

    def _arm_timer(self) -> None:
        due = self.engine.next_due
        if due is not None and due != self._timer_at and not self.engine.recovering:
            self._timer_at = due
            self.node.scheduler.at(due + self.node.scheduler.random.randint(0, 3) * MILLISECOND, self._tick)

    def _tick(self) -> None:
        if self._usable:
            self._timer_at = None
            self.engine.tick(self.node.scheduler.now)
            self._pump()

    def _maybe_snapshot(self) -> None:
        node = self.node
        if (
            self.is_zombie
            or not self.engine.is_quiescent
            or node.scheduler.random.random() > node.faults.snapshot_per_step
        ):
            return
        node.snapshot = snapshot_of(self.engine, STREAM)

    def _might_crash(self) -> bool:
        random, faults = self.node.scheduler.random, self.node.faults
        likely = faults.crash_per_step * (RECOVERING_CRASHES if self.engine.recovering else 1)
        if self.is_zombie or random.random() >= likely:
            return False
        self.node.crash(freeze=random.random() < faults.freeze_share)
        return True


_heard_cache: dict[tuple[tuple[str, ...], str], bool] = {}


def _heard(filters: tuple[str, ...], subject: str) -> bool:
    key = (filters, subject)
    found = _heard_cache.get(key)
    if found is None:
        found = _heard_cache[key] = any(subject_matches(each, subject) for each in filters)
    return found


def _now(coroutine: Coroutine[Any, Any, Restart]) -> Restart:
    """The result of a coroutine that never has to wait: simulated reads answer at once."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Restart = stop.value
        return result
    raise RuntimeError("a simulated read tried to wait")
