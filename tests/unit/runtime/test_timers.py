"""Timers: a machine asks for one, the log brings it back, and only the one that was asked for last."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest

from libs.common.messages import FeedMarks, Message, PersonNotified, TimerFired
from libs.runtime.core import Core, Output
from libs.runtime.machine import CancelTimer, Effect, Publish, SetTimer

NOW = 1_735_689_600_000_000_000


class Nothing(msgspec.Struct):
    """Neither set nor remembered."""


class Alarm:
    """A mark of a venue is an order to it: "set" for as_of, "cancel", or nothing; it says when it has been woken."""

    Settings: ClassVar[Any] = Nothing
    State: ClassVar[Any] = Nothing

    def __init__(self, settings: Any):
        self.settings, self.state = settings, Nothing()

    def handle(self, event: Message, now: int) -> list[Effect]:
        match event:
            case FeedMarks(venue="set", as_of=due):
                return [SetTimer("alarm", due)]
            case FeedMarks(venue="cancel"):
                return [CancelTimer("alarm")]
            case TimerFired(name=name, due=due):
                return [Publish(PersonNotified(level="note", text=f"{name} at {due - NOW}", repeat=False))]
        return []


class Clock:
    """A core with an alarm, and the log that speaks to it."""

    def __init__(self) -> None:
        self.core = Core("notify", Alarm, Nothing())
        self.seq = 0

    def told(self, venue: str, after: int = 0) -> list[Any]:
        """The feed speaks at NOW + `after`."""
        return self._step(FeedMarks(venue=venue, as_of=NOW + after, marks=(), producer="feed", ts_init=NOW))

    def fired(self, due: int, at: int | None = None, by: str = "notify") -> list[str]:
        """A firing for NOW + `due` stands in the log; what the machine said to it."""
        event = TimerFired(name="alarm", due=NOW + due, producer=by, ts_init=NOW + (due if at is None else at))
        return [each.message.text for each in self._step(event) if isinstance(each, Output)]

    def _step(self, message: Message) -> list[Any]:
        self.seq += 1
        return self.core.step(self.seq, msgspec.structs.replace(message, id=f"event {self.seq}"))


def test_a_timer_fires_once() -> None:
    """It comes back through the log, wakes the machine, and is gone: its echo wakes nobody."""
    clock = Clock()
    clock.told("set", 10)
    assert clock.core.memory.timers == {"alarm": NOW + 10}
    assert clock.fired(10) == ["alarm at 10"]
    assert clock.fired(10) == []
    assert clock.core.memory.timers == {}


@pytest.mark.parametrize("after", ["cancel", "set"])
def test_a_firing_that_was_overtaken_wakes_nobody(after: str) -> None:
    """It was in the log already when the machine cancelled the timer, or set it anew: only the new one counts."""
    clock = Clock()
    clock.told("set", 10)
    clock.told(after, 20)
    assert clock.fired(10) == []
    assert clock.fired(20) == (["alarm at 20"] if after == "set" else [])


def test_a_timer_that_fires_late_moves_time_on() -> None:
    """The machine's time is when it went off, not when it was due."""
    clock = Clock()
    clock.told("set", 10)
    assert clock.fired(10, at=500) == ["alarm at 10"]
    assert clock.core.memory.now == NOW + 500


def test_a_timer_survives_a_restart() -> None:
    """It is part of the snapshot: who starts again still waits for it."""
    clock, reborn = Clock(), Clock()
    clock.told("set", 10)
    reborn.core.restore(clock.core.snapshot())
    reborn.seq = clock.seq
    assert reborn.fired(10) == ["alarm at 10"]


@pytest.mark.parametrize(
    ("producer", "own"),
    [("notify", 10), ("ops.gateway", 10), ("ops.telegram", 10), ("agent.llm", None), ("agent.breakout", None)],
)
def test_who_stands_at_the_edge_moves_nobodys_time(producer: str, own: int | None) -> None:
    """A gateway or a bot that was taken over could make every price look old, and every wish expired; its clock counts for itself alone, an agent's for nobody."""
    said = PersonNotified(level="note", text="x", repeat=False, id="1", ts_init=NOW + 10, producer=producer)
    other, itself = Core("risk", Alarm, Nothing()), Core(producer, Alarm, Nothing())
    other.step(1, said)
    itself.step(1, said)
    assert (other.memory.now, itself.memory.now) == (0, 0 if own is None else NOW + own)


def test_an_operator_at_the_command_line_moves_time() -> None:
    """Before the first price his clock is the only one there is."""
    core = Core("risk", Alarm, Nothing())
    core.step(1, PersonNotified(level="note", text="x", repeat=False, id="1", ts_init=NOW, producer="ops.cli"))
    assert core.memory.now == NOW
