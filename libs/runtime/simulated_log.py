"""A simulated decision log, and the seeded scheduler on which everything simulated runs.

Every entry the log has acknowledged stays: that is what `sync_interval: always` was measured to give.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random

import msgspec

from libs.common.subjects import subject_matches
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Fenced
from libs.runtime.engine import Append

MILLISECOND = 1_000_000


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How often things go wrong: probabilities per occasion, delays in ms of simulated time."""

    append_lost: float = 0.0
    ack_lost: float = 0.0
    crash_per_step: float = 0.0
    freeze_share: float = 0.2
    snapshot_per_step: float = 0.0
    snapshot_lost: float = 0.2
    delay_ms_max: float = 5.0
    restart_ms_max: float = 3_000.0
    append_timeout_ms: float = 5_000.0


class Scheduler:
    """Simulated time: actions in order of their due time; ties are broken by the order they were asked for in."""

    def __init__(self, seed: int, now: int):
        self.random = Random(seed)  # noqa: S311  (a simulation wants a seed, not a secret)
        self.now = now
        self.steps = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, due: int, action: Callable[[], None]) -> None:
        """Run `action` once simulated time has reached `due` (ns)."""
        heapq.heappush(self._queue, (max(due, self.now), next(self._order), action))

    def after_ms(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Run `action` in `delay_ms` of simulated time."""
        self.at(self.now + int(delay_ms * MILLISECOND), action)

    def soon(self, delay_ms_max: float, action: Callable[[], None]) -> None:
        """Run `action` after a random delay."""
        self.after_ms(self.random.uniform(0.05, delay_ms_max), action)

    def run_until(self, end: int, after_step: Callable[[], None]) -> None:
        """Take steps until `end`; `after_step` looks for broken invariants and raises when it finds one."""
        while self._queue and self._queue[0][0] <= end:
            due, _, action = heapq.heappop(self._queue)
            self.now = due
            self.steps += 1
            action()
            after_step()
        self.now = end


class SimulatedLog:
    """The decision log with the server's condition on appends. Every entry it has acknowledged stays.

    While it is not `is_reachable`, whoever lives hears nothing and says nothing, and nobody can begin.
    """

    def __init__(self) -> None:
        self.is_reachable = True
        self.entries: list[LogEntry] = []
        self.listeners: list[Callable[[], None]] = []
        self.dead: dict[int, LogEntry] = {}
        self._tails: dict[str, int] = {}

    def append(self, append: Append, writer: str) -> int:
        """Store the message if the writer's prefix still ends at `expected_tail`.

        Raises:
            Fenced: it does not.
        """
        if self._tails.get(writer, 0) != append.expected_tail:
            raise Fenced(f"{writer} ends at {self._tails.get(writer, 0)}, not at {append.expected_tail}")
        seq = len(self.entries) + 1
        self.entries.append(LogEntry(seq, append.subject, append.payload))
        self._tails[writer] = seq
        for listener in self.listeners:
            listener()
        return seq

    def come_back(self) -> None:
        """Be reachable again, and say so."""
        self.is_reachable = True
        for listener in self.listeners:
            listener()

    async def last_under(self, subject_filter: str) -> LogEntry | None:
        """As Bus.last_under."""
        return next((each for each in reversed(self.entries) if subject_matches(subject_filter, each.subject)), None)

    async def first_on(self, subject_filter: str, from_seq: int = 1) -> LogEntry | None:
        """As Bus.first_on."""
        later = self.entries[from_seq - 1 :]
        return next((each for each in later if subject_matches(subject_filter, each.subject)), None)

    async def last_seq(self) -> int:
        """As Bus.last_seq."""
        return len(self.entries)

    async def entry_at(self, seq: int) -> LogEntry | None:
        """As Bus.entry_at."""
        return self.entries[seq - 1] if 0 < seq <= len(self.entries) else None
