"""The engine and its recovery where a record is odd: what cannot be read, what is of another time, what was told twice."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import msgspec
import pytest

from libs.common.codec import PAYLOAD_BYTES_MAX, decode_from, encode
from libs.common.messages import AlertRaised, FeedMarks, Message, MessageSent, PersonNotified, TimerFired
from libs.runtime.contract import Contract, Zone
from libs.runtime.core import ContractBroken
from libs.runtime.engine import Append, Engine
from libs.runtime.machine import Effect, Publish
from libs.runtime.recovery import restart
from libs.runtime.replay import Part, replay
from libs.runtime.simulated_log import SimulatedLog
from libs.runtime.snapshots import snapshot_of

NOTIFY = Contract(
    service="notifier", writer="notify", zone=Zone.EDGE, consumes=(FeedMarks,), produces=(PersonNotified, MessageSent)
)


class Tuning(msgspec.Struct, frozen=True):
    """How many notices follow from a mark, and what stands in them."""

    notices: int = 1
    word: str = "n"


class Tuned(msgspec.Struct, frozen=True):
    """What a later version of the code calls its settings: nothing of `Tuning` fits."""

    sentence: str


class Heard(msgspec.Struct):
    count: int = 0
    worst: float = 0.0


class Echo:
    """Says `notices` notices for each mark."""

    Settings: ClassVar[Any] = Tuning
    State: ClassVar[Any] = Heard

    def __init__(self, settings: Any):
        self.settings, self.state = settings, Heard()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if not isinstance(event, FeedMarks):
            return []
        self.state.count += 1
        return [self._notice(f"{self.settings.word}{event.as_of}/{n}") for n in range(self.settings.notices)]

    def _notice(self, text: str) -> Effect:
        return Publish(PersonNotified(level="note", text=text, repeat=False))


class Sentences(Echo):
    """`Echo` after a change of its code: other settings, one notice a mark, and only for odd ones."""

    Settings: ClassVar[Any] = Tuned

    def handle(self, event: Message, now: int) -> list[Effect]:
        if not isinstance(event, FeedMarks) or event.as_of % 2 == 0:
            return []
        return [self._notice(f"{self.settings.sentence} {event.as_of}")]


class Life:
    """One incarnation over a simulated log; nothing happens unless a test says so."""

    def __init__(self, log: SimulatedLog, machine: Any, settings: Any, *, code: str = "v1", snapshot: Any = None):
        self.log = log
        past = asyncio.run(restart(log, NOTIFY, machine, settings, lambda: snapshot, 0))
        self.used_snapshot = past.used_snapshot
        self.engine = Engine(past.core, past.recovery, instance="i", code_version=code, started_at=1)
        self.engine.start_with(settings)
        self.next_seq = past.begins_at

    def read(self, until: int | None = None) -> None:
        """Hear the log (its end by default)."""
        while self.next_seq <= (until or len(self.log.entries)):
            entry = self.log.entries[self.next_seq - 1]
            self.next_seq += 1
            if entry.subject in ("feed.marks", "notify.started", "notify.timer"):
                self.engine.deliver(entry.seq, entry.subject, entry.payload)

    def append(self, count: int = 1_000_000) -> None:
        """Let at most `count` appends through."""
        while count and (append := self.engine.next_append()) is not None:
            self.engine.appended(self.log.append(append, "notify"))
            count -= 1

    def live(self) -> Life:
        """Read everything, append everything, live."""
        while True:
            self.read()
            self.engine.caught_up(2)
            self.append()
            if self.next_seq > len(self.log.entries):
                return self


def mark(log: SimulatedLog, number: int) -> None:
    """The feed says one more mark."""
    message = FeedMarks(id=f"mark-{number}", venue="binance", as_of=number, marks=(), producer="feed", ts_init=number)
    tail = max((each.seq for each in log.entries if each.subject.startswith("feed.")), default=0)
    log.append(Append("feed.marks", encode(message), message, tail), "feed")


def notices(log: SimulatedLog) -> list[str]:
    """What was told, in order."""
    said = [decode_from(each.subject, each.payload) for each in log.entries if each.subject == "notify.notice"]
    return [each.text for each in said]


def begun(machine: Any = Echo, settings: Any = None, **more: Any) -> tuple[SimulatedLog, Life]:
    """A log with one service that lives."""
    log = SimulatedLog()
    return log, Life(log, machine, settings or Tuning(), **more).live()


class Bad(Echo):
    """Says what nobody can read."""

    def _notice(self, text: str) -> Effect:
        return Publish(PersonNotified(level="note", text="x" * PAYLOAD_BYTES_MAX, repeat=False))


def test_what_no_reader_would_accept_is_not_appended() -> None:
    """An output beyond the codec's measure would be poison to all, and its position lost to its own writer."""
    log, life = begun(Bad)
    mark(log, 1)
    length = len(log.entries)
    with pytest.raises(ContractBroken, match="TOO_LARGE"):
        life.live()
    assert len(log.entries) == length


def test_a_source_event_nobody_can_read_is_not_appended() -> None:
    """A number that JSON cannot carry (it would become null) ends the process instead of entering the log."""
    log, life = begun()
    length = len(log.entries)
    life.engine.source(AlertRaised(code="X", severity="loud", text=""))  # type: ignore[arg-type]
    with pytest.raises(ContractBroken, match="MALFORMED"):
        life.append()
    assert len(log.entries) == length


@pytest.mark.parametrize("appended", [0, 1, 2])
def test_everything_a_life_appends_stands_behind_its_start(appended: int) -> None:
    """What the last life left unsaid is said by this one, under this one's code: `started` comes first."""
    log, life = begun(Echo, Tuning(notices=3))
    mark(log, 1)
    life.read()
    life.append(appended)
    Life(log, Echo, Tuning(notices=3), code="v2").live()
    place = max(each.seq for each in log.entries if each.subject == "notify.started")
    assert [each.seq > place for each in log.entries if each.subject == "notify.notice"] == [False] * appended + [
        True
    ] * (3 - appended)
    assert notices(log) == ["n1/0", "n1/1", "n1/2"]


def parts(machine: Any, code: str) -> list[Part]:
    return [Part(NOTIFY, machine, code)]


@pytest.mark.parametrize(("timers", "owed"), [(1, ["n6/0"]), (2, [])])
def test_an_upgrade_and_its_way_back_are_three_spans_of_which_two_are_proven(timers: int, owed: list[str]) -> None:
    """What other code did not say is nobody's loss: only what this code owed counts."""
    log, first = begun()
    mark(log, 1)
    first.live()
    mark(log, 2)
    mark(log, 3)
    second = Life(log, Sentences, Tuned("it is"), code="v2").live()
    mark(log, 4)
    mark(log, 6)
    second.live()  # says nothing about either, which v1 would have
    for _ in range(timers):  # the first carries the position (6), the second that of the first
        second.engine.source(TimerFired(name="any", due=1))
        second.live()
    third = Life(log, Echo, Tuning()).live()
    mark(log, 7)
    third.live()
    assert notices(log) == ["n1/0", "it is 3", *owed, "n7/0"]
    report = replay(lambda: log.entries, parts(Echo, "v1"))
    assert report.spans == {"notify": ["v1", "v2", "v1"]}
    assert report.mismatches == []
    assert report.verified == 2 + len(owed)
    assert replay(lambda: log.entries, parts(Sentences, "v2")).mismatches == []


def test_settings_of_another_code_are_passed_over_alike_by_all() -> None:
    """A start whose settings this code cannot read changes nothing; the first it can read holds from the beginning."""
    log, first = begun()
    mark(log, 1)
    first.live()
    Life(log, Sentences, Tuned("a"), code="v2").live()
    mark(log, 3)
    third = Life(log, Sentences, Tuned("b"), code="v2").live()
    assert third.engine.core.machine.settings == Tuned("b")
    mark(log, 5)
    third.live()
    assert notices(log) == ["n1/0", "a 3", "b 5"]
    report = replay(lambda: log.entries, parts(Sentences, "v2"))
    assert report.mismatches == []
    assert report.verified == 2


def test_a_forged_start_does_not_keep_a_service_from_starting() -> None:
    """The oldest message on `<who>.started` may be nonsense; the settings are those of the oldest that is sense."""
    log = SimulatedLog()
    log.append(Append("notify.started", b'{"stream":"TRADING_0001","seq":1}', Message(), 0), "notify")
    Life(log, Echo, Tuning(word="w")).live()
    mark(log, 1)
    Life(log, Echo, Tuning(word="z")).live()
    mark(log, 2)
    Life(log, Echo, Tuning(word="z")).live()
    assert notices(log)[-2:] == ["w1/0", "z2/0"]


def test_changed_settings_hold_from_their_start_on_whenever_it_crashes() -> None:
    """Between two crashes an input is answered under the settings that stood before it in the log, once."""
    log, first = begun()
    mark(log, 1)
    first.live()
    mark(log, 2)
    second = Life(log, Echo, Tuning(word="m"))
    second.read()
    second.append(1)  # its start; then it dies
    third = Life(log, Echo, Tuning(word="k")).live()
    mark(log, 3)
    third.live()
    assert notices(log) == ["n1/0", "n2/0", "k3/0"]
    assert replay(lambda: log.entries, parts(Echo, "v1")).mismatches == []


def test_a_snapshot_that_cannot_be_read_is_not_used() -> None:
    """A whole file whose content does not fit (a NaN became null) costs a replay, not the service."""
    log, life = begun()
    mark(log, 1)
    life.live()
    life.engine.core.machine.state.worst = float("nan")
    snapshot = snapshot_of(life.engine, "TRADING_0001")
    again = Life(log, Echo, Tuning(), snapshot=snapshot)
    assert not again.used_snapshot
    mark(log, 2)
    again.live()
    assert notices(log) == ["n1/0", "n2/0"]


def test_an_input_of_the_last_life_after_the_announced_end_is_refused() -> None:
    """Were the reader wrong about the end of the log, the requests of old inputs would leave a second time."""
    log, first = begun()
    mark(log, 1)
    first.live()
    second = Life(log, Echo, Tuning())
    second.engine.caught_up(2)
    with pytest.raises(ContractBroken, match="after the end of the log"):
        second.read()
