"""The engine's promise, on toy machines under heavy faults: every input's outputs are in the log once, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import pytest

from libs.common.codec import decode_from
from libs.common.messages import (
    AlertRaised,
    Answer,
    FeedMarks,
    Message,
    MessageSent,
    PersonNotified,
    RequestInterrupted,
    ServiceStarted,
    TimerFired,
)
from libs.runtime.adapter import LogEntry
from libs.runtime.contract import Contract, Zone
from libs.runtime.core import Asked
from libs.runtime.machine import Effect, Perform, Publish, Request, SetTimer
from libs.runtime.replay import Part, replay
from libs.runtime.simulate import Member, Node
from libs.runtime.simulated_log import Faults, Scheduler, SimulatedLog

SECOND = 1_000_000_000
HARSH = Faults(append_lost=0.01, ack_lost=0.02, crash_per_step=0.02, snapshot_per_step=0.3, freeze_share=0.3)


class NoSettings(msgspec.Struct, frozen=True):
    """Nothing to set."""


class SourceState(msgspec.Struct):
    heard: int = 0


class SourceMachine:
    """Hears its own marks and remembers the last."""

    Settings: ClassVar = NoSettings
    State: ClassVar = SourceState

    def __init__(self, settings: Any):
        self.settings, self.state = settings, SourceState()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedMarks):
            self.state.heard = event.as_of
        return []


class SourceEdge:
    """Emits numbered marks, going on after the last one in the log."""

    def __init__(self, scheduler: Scheduler, count: int):
        self._scheduler, self._count, self._life = scheduler, count, 0

    def opened(self, node: Node) -> None:
        self._life += 1
        self._next(node, self._life)

    def closed(self) -> None:
        self._life += 1

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        raise AssertionError("a source asks nothing")

    def _next(self, node: Node, life: int) -> None:
        if life != self._life:
            return
        if node.is_quiet and node.state().heard < self._count:
            number = node.state().heard + 1
            node.emit(FeedMarks(venue="binance", as_of=number, marks=(), ts_event=number, ts_init=self._scheduler.now))
        self._scheduler.soon(40.0, lambda: self._next(node, life))


class FanOutState(msgspec.Struct):
    total: int = 0
    fired: int = 0


class FanOutMachine:
    """Answers mark n with n % 4 alerts that carry a running total, and counts its timer."""

    Settings: ClassVar = NoSettings
    State: ClassVar = FanOutState

    def __init__(self, settings: Any):
        self.settings, self.state = settings, FanOutState()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedMarks):
            effects: list[Effect] = [SetTimer(f"t{event.as_of % 5}", now + SECOND)]
            for index in range(event.as_of % 4):
                self.state.total += event.as_of
                text = f"{event.as_of}/{index}/{self.state.total}"
                effects.append(Publish(AlertRaised(code="TOY", severity="note", text=text)))
            return effects
        if isinstance(event, TimerFired):
            self.state.fired += 1
        return []


class Send(Request, frozen=True, kw_only=True):
    write_ahead: ClassVar[bool] = True
    text: str


class AskerState(msgspec.Struct):
    sent: list[str] = []
    interrupted: list[str] = []


class AskerMachine:
    """Performs one write-ahead request for each mark."""

    Settings: ClassVar = NoSettings
    State: ClassVar = AskerState

    def __init__(self, settings: Any):
        self.settings, self.state = settings, AskerState()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedMarks):
            text = str(event.as_of)
            request = Send(text=text, valid_until=now + 3_600 * SECOND)
            return [Publish(PersonNotified(level="note", text=text, repeat=False)), Perform(f"send:{text}", request)]
        if isinstance(event, MessageSent):
            self.state.sent.append(event.request_id)
        if isinstance(event, RequestInterrupted):
            self.state.interrupted.append(event.request_id)
        return []


class AskerEdge:
    """Counts how often each request left."""

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler
        self.left: dict[str, int] = {}

    def opened(self, node: Node) -> None: ...

    def closed(self) -> None: ...

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        self.left[asked.request_id] = self.left.get(asked.request_id, 0) + 1
        answer = MessageSent(
            request_id=asked.request_id, channel="toy", ok=True, detail="", ts_init=self._scheduler.now
        )
        self._scheduler.soon(200.0, lambda: reply(answer))


FEED = Contract(
    service="market-feed", writer="feed", zone=Zone.FEED, consumes=(), produces=(FeedMarks,), hears_itself=(FeedMarks,)
)
RISK = Contract(service="risk-gate", writer="risk", zone=Zone.CORE, consumes=(FeedMarks,), produces=())
NOTIFY = Contract(
    service="notifier", writer="notify", zone=Zone.EDGE, consumes=(FeedMarks,), produces=(PersonNotified, MessageSent)
)


def run_toys(seed: int, faults: Faults, count: int = 120) -> tuple[SimulatedLog, AskerEdge, list[Node]]:
    scheduler, log = Scheduler(seed, now=SECOND), SimulatedLog()
    asker = AskerEdge(scheduler)
    members = (
        Member(FEED, SourceMachine, NoSettings(), SourceEdge(scheduler, count)),
        Member(RISK, FanOutMachine, NoSettings()),
        Member(NOTIFY, AskerMachine, NoSettings(), asker),
    )
    nodes = [Node(member, log, scheduler, faults) for member in members]
    for node in nodes:
        node.start()
    for _ in range(400):
        scheduler.run_until(scheduler.now + 10 * SECOND, lambda: None)
        if nodes[0].is_quiet and nodes[0].state().heard == count:
            break
    for node in nodes:  # the storm is over: let everybody finish
        node.faults = Faults()
    scheduler.run_until(scheduler.now + 60 * SECOND, lambda: None)
    return log, asker, nodes


def texts(log: SimulatedLog, subject: str) -> list[str]:
    return [decode_from(each.subject, each.payload).text for each in log.entries if each.subject == subject]


EXPECTED: list[str] = []
_total = 0
for _number in range(1, 121):
    for _index in range(_number % 4):
        _total += _number
        EXPECTED.append(f"{_number}/{_index}/{_total}")


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(25))
def test_outputs_survive_crashes_exactly_once_and_in_order(seed: int) -> None:
    """However often services crash, freeze, and lose appends, each input's outputs stand in the log once, in order."""
    log, asker, nodes = run_toys(seed, HARSH)
    assert nodes[0].state().heard == 120, "the run must finish"
    assert texts(log, "risk.alert") == EXPECTED
    assert texts(log, "notify.notice") == [str(number) for number in range(1, 121)]
    assert max(asker.left.values()) == 1, "a write-ahead request left twice"
    state = nodes[2].state()
    assert sorted(state.sent + state.interrupted) == sorted(f"send:{number}" for number in range(1, 121))


@pytest.mark.parametrize("seed", range(5))
def test_a_log_written_under_faults_replays_clean(seed: int) -> None:
    """What was written by many crashed incarnations is derived again byte for byte by one."""
    log, _, _ = run_toys(seed, HARSH)
    parts = [
        Part(RISK, FanOutMachine, "simulated"),
        Part(NOTIFY, AskerMachine, "simulated"),
        Part(FEED, SourceMachine, "simulated"),
    ]
    report = replay(lambda: log.entries, parts)
    assert report.mismatches == []
    assert report.verified == len(EXPECTED) + 120
    assert report.events == report.verified + report.taken_as_input


def test_the_faults_really_happen() -> None:
    """The harsh run is harsh: several starts of every service, interrupted requests, restored snapshots."""
    log, _, nodes = run_toys(3, HARSH)
    starts = [each for each in log.entries if each.subject.endswith(".started")]
    assert len(starts) > 10
    assert sum(node.restores for node in nodes) > 3


def test_a_changed_byte_in_the_log_is_found() -> None:
    """The replay proof notices one altered output, and one that is missing."""
    log, _, _ = run_toys(1, Faults())
    parts = [Part(RISK, FanOutMachine, "simulated")]
    place = next(index for index, each in enumerate(log.entries) if each.subject == "risk.alert")
    victim = log.entries[place]
    forged = list(log.entries)
    forged[place] = LogEntry(victim.seq, victim.subject, victim.payload.replace(b"1/0/1", b"1/0/2"))
    assert [each.kind for each in replay(lambda: forged, parts).mismatches] == ["different"]
    missing = [each for each in log.entries if each is not victim]
    assert [each.kind for each in replay(lambda: missing, parts).mismatches] == ["lost"]


def test_a_start_under_other_code_begins_a_span_of_its_own() -> None:
    """Outputs of another code version are counted as such, never as a match."""
    log, _, _ = run_toys(1, Faults())
    report = replay(lambda: log.entries, [Part(RISK, FanOutMachine, "another")])
    assert report.verified == 0
    assert report.other_code == len(EXPECTED)
    assert report.is_clean


def test_every_start_is_in_the_log() -> None:
    """The first message of each incarnation says who it is and what it knew."""
    log, _, nodes = run_toys(2, Faults())
    started = [decode_from(each.subject, each.payload) for each in log.entries if each.subject == "risk.started"]
    assert len(started) == 1
    assert isinstance(started[0], ServiceStarted)
    assert started[0].instance == "sim-1"
    assert nodes[1].starts == 1


class Paid(msgspec.Struct, frozen=True):
    """What one mark is worth."""

    worth: int


class TallyMachine:
    """Answers each mark with one alert: its number, what it is worth now, and how many it has heard."""

    Settings: ClassVar = Paid
    State: ClassVar = SourceState
    mark_word: ClassVar = "mark"

    def __init__(self, settings: Any):
        self.settings, self.state = settings, SourceState()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if not isinstance(event, FeedMarks):
            return []
        self.state.heard += 1
        text = f"{self.mark_word} {event.as_of} {self.settings.worth} {self.state.heard}"
        return [Publish(AlertRaised(code="TOY", severity="note", text=text)), SetTimer("t", now + SECOND)]


class NewTallyMachine(TallyMachine):
    """The same after a change of its code."""

    mark_word: ClassVar = "MARK"


@pytest.mark.parametrize("seed", range(12))
def test_changes_of_settings_and_code_between_crashes_keep_the_promise(seed: int) -> None:
    """Whoever answers, under whatever settings and code: each mark once, in order, and both codes can prove their own spans."""
    scheduler, log = Scheduler(seed, now=SECOND), SimulatedLog()
    tally = Member(RISK, TallyMachine, Paid(1), code_version="old")
    feed = Node(Member(FEED, SourceMachine, NoSettings(), SourceEdge(scheduler, 120)), log, scheduler, HARSH)
    node = Node(tally, log, scheduler, HARSH)
    for each in (feed, node):
        each.start()
    for round_number in range(400):
        scheduler.run_until(scheduler.now + 2 * SECOND, lambda: None)
        is_new = scheduler.random.random() < 0.5
        machine, code = (NewTallyMachine, "new") if is_new else (TallyMachine, "old")
        node.member = msgspec.structs.replace(
            tally, machine_class=machine, code_version=code, settings=Paid(round_number)
        )
        node.crash(freeze=scheduler.random.random() < 0.3)
        if feed.is_quiet and feed.state().heard == 120:
            break
    feed.faults = node.faults = Faults()
    scheduler.run_until(scheduler.now + 60 * SECOND, lambda: None)
    said = [text.split() for text in texts(log, "risk.alert")]
    assert [int(number) for _, number, _, _ in said] == list(range(1, 121))
    assert [number for _, number, _, _ in said] == [heard for _, _, _, heard in said]
    assert len({worth for _, _, worth, _ in said}) > 2
    assert {word for word, *_ in said} == {"mark", "MARK"}
    for machine, code in ((TallyMachine, "old"), (NewTallyMachine, "new")):
        report = replay(lambda: log.entries, [Part(RISK, machine, code)])
        assert report.mismatches == []
        assert report.verified + report.other_code == 120
        assert report.verified > 0
