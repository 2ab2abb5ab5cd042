"""A conversation with a machine: tell it an event, expect its effects; a mismatch is shown as a readable diff.

    book = Playbook(TrendMachine(settings))
    book.tell(FeedBars(...)).expect(like(AgentSignals, agent_id="trend"))
    book.tell(FeedMarks(...)).expect()                                      # says nothing

`tell` does what a shell does around `handle`: it fills in missing metadata, sends the event through the codec (an event that
could not stand in the log is a mistake of the test), lets `now` never go back, and keeps the timers. After every event the
machine's state is frozen to JSON and thawed, so every test is also a test of the snapshot.
"""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

import msgspec

from libs.common.codec import decode, encode
from libs.common.ids import derive_id
from libs.common.messages import Message, TimerFired
from libs.runtime.machine import CancelTimer, Effect, Perform, Publish, Request, SetTimer

START = 1_735_689_600_000_000_000
"""Where a conversation begins unless told otherwise: 2025-01-01 00:00 UTC, in ns."""

M = TypeVar("M", bound=Message)


class Like(msgspec.Struct, frozen=True):
    """An expected message or request of this type with these fields; the others may be anything."""

    kind: type
    fields: dict[str, Any]

    def matches(self, found: Any) -> bool:
        """Whether `found` is such a message or request."""
        return type(found) is self.kind and all(getattr(found, name) == want for name, want in self.fields.items())


def like(kind: type[Message] | type[Request], **fields: Any) -> Like:
    """Expect a published `kind` (or a performed request) with at least these field values."""
    unknown = sorted(set(fields) - set(kind.__struct_fields__))
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {', '.join(unknown)}")
    return Like(kind, fields)


class Playbook:
    """One machine under test. `effects` are the answer to the last event, `timers` those waiting (name to due).

    Messages of the types in `beside` are not looked at by `expect`: they accompany what a test is about, and have tests of their own.
    """

    def __init__(self, machine: Any, *, now: int = START, writer: str = "me", beside: tuple[type[Message], ...] = ()):
        self.machine = machine
        self.beside = beside
        self.now = now
        self.writer = writer
        self.timers: dict[str, int] = {}
        self.effects: list[Effect] = []
        self.story: list[str] = []
        self._told_count = 0

    def tell(self, event: Message, *, now: int | None = None) -> Playbook:
        """Give the machine `event`; `now` (ns) defaults to the later of the event's `ts_init` and the time so far."""
        self.now = max(self.now, event.ts_init, self.now if now is None else now)
        self._told_count += 1
        stamped = decode(encode(self._stamped(event)))
        self.story.append(f">> {_shown(stamped)}")
        self.effects = self.machine.handle(stamped, self.now)
        self.story += [f"<< {_shown(effect)}" for effect in self.effects]
        for effect in self.effects:
            match effect:
                case SetTimer(name, due):
                    self.timers[name] = due
                case CancelTimer(name):
                    self.timers.pop(name, None)
                case Publish(message):
                    encode(message)
        self._freeze_and_thaw()
        return self

    def fire(self, name: str) -> Playbook:
        """Let the timer `name` go off at its due time."""
        if name not in self.timers:
            raise AssertionError(f"no timer {name!r} is set; waiting are {self.timers}")
        due = self.timers.pop(name)
        return self.tell(TimerFired(name=name, due=due, ts_init=due, producer=self.writer))

    def expect(self, *wanted: Effect | Like) -> Playbook:
        """The last event's effects must be these, in this order; a `Like` stands for a Publish or a Perform.

        Raises:
            AssertionError: with the conversation so far and a diff.
        """
        effects = [effect for effect in self.effects if not isinstance(_content(effect), self.beside)]
        if len(wanted) == len(effects) and all(map(_fits, wanted, effects)):
            return self
        expected = [line for want, found in _aligned(wanted, effects) for line in _lines(want, found)]
        got = [line for effect in effects for line in _lines(effect, None)]
        diff = "\n".join(difflib.unified_diff(expected, got, "expected", "got", lineterm="", n=30))
        raise AssertionError("\n".join(["the conversation so far:", *self.story[-12:], "", diff]))

    def published(self, kind: type[M]) -> list[M]:
        """The messages of this type in the last answer."""
        return [e.message for e in self.effects if isinstance(e, Publish) and isinstance(e.message, kind)]

    def only(self, kind: type[M]) -> M:
        """The one message of this type in the last answer.

        Raises:
            AssertionError: there is none, or more than one.
        """
        found = self.published(kind)
        if len(found) != 1:
            raise AssertionError("\n".join([f"{len(found)} x {kind.__name__} instead of one:", *self.story[-12:]]))
        return found[0]

    def _stamped(self, event: Message) -> Message:
        message_id = event.id or derive_id("told", self._told_count)
        said_by = event.said_by
        return msgspec.structs.replace(
            event,
            id=message_id,
            ts_event=event.ts_event or self.now,
            ts_init=event.ts_init or self.now,
            correlation_id=event.correlation_id or message_id,
            producer=event.producer or (self.writer if "*" in said_by else said_by),
        )

    def _freeze_and_thaw(self) -> None:
        state = self.machine.state
        thawed = msgspec.json.decode(msgspec.json.encode(state), type=type(self.machine).State)
        if thawed != state:
            raise AssertionError(f"the state does not survive a snapshot:\n{state}\n{thawed}")
        self.machine.state = thawed


def _content(effect: Effect) -> Any:
    match effect:
        case Publish(message):
            return message
        case Perform(_, request):
            return request
    return effect


def _fits(want: Effect | Like, found: Effect) -> bool:
    return want.matches(_content(found)) if isinstance(want, Like) else want == found


def _aligned(wanted: tuple[Effect | Like, ...], found: list[Effect]) -> list[tuple[Effect | Like, Effect | None]]:
    return [(want, found[place] if place < len(found) else None) for place, want in enumerate(wanted)]


def _lines(effect: Effect | Like, found: Effect | None) -> list[str]:
    """`effect` field by field. A Like borrows the fields it leaves open from the effect in its place."""
    if isinstance(effect, Like):
        content = _content(found) if found is not None else None
        filled = msgspec.structs.asdict(content) if type(content) is effect.kind else {}
        return _listed(effect.kind.__name__, {**filled, **effect.fields})
    content = _content(effect)
    return _listed(type(content).__name__, msgspec.structs.asdict(content))


def _listed(name: str, fields: dict[str, Any]) -> list[str]:
    return [name, *(f"    {field} = {value!r}" for field, value in fields.items() if value not in ("", 0, ()))]


def _shown(thing: Message | Effect) -> str:
    """One line of the conversation: the type and what it says, without metadata."""
    content = _content(thing) if not isinstance(thing, Message) else thing
    fields = {name: getattr(content, name) for name in content.__struct_fields__}
    for name in Message.__struct_fields__ if isinstance(content, Message) else ():
        fields.pop(name)
    text = ", ".join(f"{name}={value}" for name, value in fields.items())
    return f"{type(content).__name__}({text[:300]}{'...' if len(text) > 300 else ''})"
