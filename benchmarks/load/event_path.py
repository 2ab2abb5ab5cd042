"""What the log tells of latencies: a fold over its messages and the server's time stamps of them. No clock, no client.

A sample is (group, name, milliseconds of ours). It ends when nats-server stored a message, and begins when it stored the message that this one answers,
or, for prices, at the instant on the venue's clock that the message is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from libs.common.messages import (
    AgentSignals,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    JournalPosted,
    LevelsMapped,
    MacroOverrideCommanded,
    MacroRegimes,
    Message,
    OperatorCommanded,
    OrderAnswered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrderSubmitting,
)

MILLISECOND = 1_000_000
Sample = tuple[str, str, float]

MARKS = ("feed", "newest frame of a price -> told in the log")
BARS = ("feed", "end of a minute -> its bars in the log")
OPINION = "bars in the log -> {} has answered"
INTENT = ("decide", "bars in the log -> an order intent")
VERDICT = ("decide", "order intent -> the gate's verdict")
WHOLE = ("decide", "bars in the log -> the gate's verdict")
WRITTEN = ("submit", "approval -> written ahead (exec.submitting)")
ANSWERED = ("submit", "written ahead -> the venue's answer in the log")
BOOKED = ("book", "fill in the log -> posted by the ledger")
OBEYED = ("operate", "command in the log -> the gate's answer in the log")


class VenueTime(msgspec.Struct, frozen=True):
    """How the venue's clock goes beside ours: it said `venue_ns` at `wall_ns`, and runs `speed` times as fast."""

    venue_ns: int
    wall_ns: int
    speed: float

    def wall(self, venue_ns: int) -> int:
        """When the venue's clock says that (ns of ours)."""
        return self.wall_ns + round((venue_ns - self.venue_ns) / self.speed)

    def venue(self, wall_ns: int) -> int:
        """What the venue's clock says then (ns)."""
        return self.venue_ns + round((wall_ns - self.wall_ns) * self.speed)


class Staleness:
    """How long prices in the log were older than the gate lets an entry be, over all instruments.

    An instrument's price is as old as its newest proof of life in the log, as the gate counts (`View.on_marks`). What is counted is time: of all
    instruments' seconds, those in which the age was above the limit.
    """

    def __init__(self, instruments: Iterable[str], limit_ns: int):
        self._limit = limit_ns
        self._began: int | None = None
        self._fresh_until = dict.fromkeys(instruments, 0)
        self._counted_to = 0
        self._stale_ns = dict.fromkeys(self._fresh_until, 0)

    def begin(self, ns: int) -> None:
        """From here on it counts."""
        self._began = self._counted_to = ns
        self._stale_ns = dict.fromkeys(self._fresh_until, 0)

    def proofs(self, stored_ns: int, lives: Iterable[tuple[str, int]]) -> None:
        """At `stored_ns` the log told these instruments alive as of these instants (all on our clock)."""
        self._count(stored_ns)
        for instrument, ns in lives:
            self._fresh_until[instrument] = max(self._fresh_until.get(instrument, 0), ns + self._limit)

    def share(self, until_ns: int) -> float:
        """The stale part of all instruments' time from the beginning to then, 0 to 1."""
        self._count(until_ns)
        if self._began is None or until_ns <= self._began:
            return 0.0
        return sum(self._stale_ns.values()) / (len(self._stale_ns) * (until_ns - self._began))

    def stale_for(self) -> int:
        """How many instruments were stale for any time at all."""
        return sum(ns > 0 for ns in self._stale_ns.values())

    def _count(self, to_ns: int) -> None:
        if self._began is None or to_ns <= self._counted_to:
            return
        for instrument, fresh_until in self._fresh_until.items():
            self._stale_ns[instrument] += max(0, to_ns - max(fresh_until, self._counted_to))
        self._counted_to = to_ns


class EventPath:
    """The fold. Tell it the log in order; it gives samples back."""

    def __init__(self, time: VenueTime, staleness: Staleness):
        self.states: list[str] = []
        """What the feed said of itself since the counting began, where it was not LIVE: state and reason."""
        self.denied: dict[str, int] = {}
        self.messages = 0
        self.staleness = staleness
        self._time = time
        self._bars: dict[str, int] = {}
        self._stories: dict[str, int] = {}
        self._intents: dict[str, int] = {}
        self._approved: dict[str, int] = {}
        self._submitted: dict[str, int] = {}
        self._fills: dict[str, int] = {}
        self._commands: dict[str, int] = {}

    def begin(self, ns: int) -> None:
        """The window begins: what was counted before is forgotten, what is waited for is not."""
        self.states.clear()
        self.denied.clear()
        self.messages = 0
        self.staleness.begin(ns)

    def take(self, stored_ns: int, message: Message) -> list[Sample]:
        """The next message of the log, and when the server stored it."""
        self.messages += 1
        return [(group, name, ns / MILLISECOND) for (group, name), ns in self._ended_by(stored_ns, message)]

    def _ended_by(self, at: int, said: Message) -> Iterator[tuple[tuple[str, str], int]]:
        match said:
            case FeedMarks():
                wall = self._time.wall
                lives = [
                    *((each, wall(said.as_of)) for each in said.alive),
                    *((m.instrument, wall(m.ts)) for m in said.marks),
                ]
                self.staleness.proofs(at, lives)
                yield from ((MARKS, at - wall(mark.ts)) for mark in said.marks)
            case FeedStatus() if said.state != "LIVE":
                self.states.append(f"{said.state} {said.reason}")
            case FeedBars():
                self._bars[said.id] = self._stories[said.correlation_id] = at
                yield BARS, at - self._time.wall(said.end_ts)
            case AgentSignals() | MacroRegimes() | LevelsMapped() if said.causation_id in self._bars:
                yield ("decide", OPINION.format(said.agent_id)), at - self._bars[said.causation_id]
            case _:
                yield from self._of_an_order(at, said)

    def _of_an_order(self, at: int, said: Message) -> Iterator[tuple[tuple[str, str], int]]:
        match said:
            case OrderIntent():
                self._intents[said.intent_id] = at
                if said.correlation_id in self._stories:
                    yield INTENT, at - self._stories[said.correlation_id]
            case OrderApproved() | OrderDenied() if said.intent_id in self._intents:
                yield VERDICT, at - self._intents[said.intent_id]
                if said.correlation_id in self._stories:
                    yield WHOLE, at - self._stories[said.correlation_id]
                if isinstance(said, OrderApproved):
                    self._approved[said.intent_id] = at
                else:
                    self.denied |= {code: self.denied.get(code, 0) + 1 for code in said.reasons}
            case OrderSubmitting():
                self._submitted[said.cl_ord_id] = at
                if (approved := self._approved.pop(said.intent_id, None)) is not None:
                    yield WRITTEN, at - approved
            case OrderAnswered() if said.cl_ord_id in self._submitted:
                yield ANSWERED, at - self._submitted.pop(said.cl_ord_id)
            case ExecutionReport() if said.exec_type == "TRADE":
                self._fills[said.id] = at
            case OperatorCommanded() | MacroOverrideCommanded():
                self._commands[said.id] = at
            case JournalPosted() if said.causation_id in self._fills:
                yield BOOKED, at - self._fills.pop(said.causation_id)
            case _ if said.causation_id in self._commands and said.producer == "risk":
                yield OBEYED, at - self._commands.pop(said.causation_id)
