"""Whether an agent looks into the future: what it decides at an instant must not depend on anything later (prefix invariance).

    report = look_ahead(lambda: MacroMachine(settings), events)

`events` are what one market tells, in order: `FeedBars`, and `FeedHistory`, marks and whatever else stamped with the `ts_init` at which it
is told. The agent lives through all of them once; then, for every event of the log:

* *future*: a fresh agent decides the same up to here though every bar that closes later is something else, wherever it stands. A bar of
  a week that is not over, told too early, is such a bar: an agent that uses it is caught here;
* *prefix*: where nothing told so far was of the future, a fresh agent that is told only what came up to here decides the same, to the
  last byte: no memory is shared behind the machines' backs, no lots are drawn;
* *snapshot*: frozen to JSON and thawed into another machine before every event, it decides the same: all it remembers is its state;
* *rewritten*: what was said of an instant is never said otherwise, and nothing is said of an instant that has passed. A centred window
  and an unconfirmed turn look perfect on a chart because they do exactly this;
* *ahead*: nothing is said of an instant that has not come.

All instants are tried, not a sample of them, because leaks show on few. Effects are compared whole, refusals included, as the bytes they were
at the moment they were said. It takes events squared steps. For a history that is too long for that, `look_ahead(..., cuts=...)` holds the
machine against some prefixes only, and `foresight` asks the first question once for all instants together, in two lives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any, Literal

import msgspec

from libs.common.messages import AgentSignals, Bar, FeedBars, FeedHistory, FeedMarks, Message, Signal
from libs.common.timeframe import SECOND
from libs.runtime.machine import Effect, Publish

TAIL = 3
"""So many events of the other future are lived through, too: what machines share behind their backs would show."""
SHOWN_CHARS_MAX = 600

Row = tuple[bytes, ...]
"""All effects of one event, as bytes."""

WHY = {
    "future": "the future decides: bars that close later were something else, and so was the answer",
    "prefix": "something outside its state decides: a fresh machine that was told the same answers otherwise",
    "snapshot": "what is not in its state decides: frozen and thawed before every event, it answers otherwise",
    "rewritten": "it rewrites the past: it speaks of an instant that was over",
    "ahead": "it speaks of an instant that has not come",
}


class Leak(msgspec.Struct, frozen=True):
    """One decision that depends on what it cannot know. `event` counts from 0, `instant` is ns; `told` is what the agent said with
    all that came later, `was` what it says, or said, without."""

    kind: Literal["future", "prefix", "snapshot", "rewritten", "ahead"]
    event: int
    heard: str
    instant: int
    told: str
    was: str

    def __str__(self) -> str:
        at = f"{datetime.fromtimestamp(self.instant // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"{WHY[self.kind]}.\nat event {self.event} ({self.heard}), instant {self.instant} ({at}), it told"
            f"\n  {self.told}\nand it was\n  {self.was}"
        )


class Report(msgspec.Struct, frozen=True):
    """How many events were lived through, to how many of them there was an answer, how many opinions in those were ready, and the first
    leak found."""

    events: int
    answers: int
    opinions: int
    leak: Leak | None


def look_ahead(make_machine: Callable[[], Any], events: Sequence[Message], cuts: Sequence[int] | None = None) -> Report:
    """Hold the machines that `make_machine` makes against every prefix of `events` and another future of each.

    `cuts` are the places (from 0) of the events after which it is cut, if not after each. An agent that says nothing has shown nothing: look at `answers`. What a machine raises is not caught.

    Raises:
        ValueError: an event does not say when it is told.
    """
    clock = clock_of(events)
    machine, effects, whole = make_machine(), list[list[Effect]](), list[Row]()
    for event, now in zip(events, clock, strict=True):
        effects.append(machine.handle(event, now))
        whole.append(_row(effects[-1]))
    leak = (
        _unlike(
            "rewritten", events, [_row(each) for each in effects], whole
        )  # what was said may have been changed since
        or _rewritten(events, clock, effects)
        or _unfrozen(make_machine, events, clock, whole)
        or _foreseen(make_machine, events, clock, whole, range(len(events)) if cuts is None else cuts)
    )
    opinions = sum(map(_ready, effects))
    return Report(len(events), sum(map(bool, whole)), opinions, leak)


def foresight(make_machine: Callable[[], Any], events: Sequence[Message]) -> Report:
    """Whether anything that is told too early decides anything, at any event: one machine is told it as it will be, another one told
    something else in its place. Two steps an event; every row is compared.

    Raises:
        ValueError: an event does not say when it is told.
    """
    first, other = make_machine(), make_machine()
    others: dict[Bar, Bar] = {}
    answers = opinions = 0
    leak: Leak | None = None
    for place, (event, now) in enumerate(zip(events, clock_of(events), strict=True)):
        early = _latest(event) > now
        effects = first.handle(event, now)
        told = _row(effects)
        was = _row(other.handle(_perturbed(event, now, others) if early else event, now))
        answers += bool(effects)
        opinions += _ready(effects)
        if told != was:
            leak = Leak("future", place, _heard(event), _instant(event), *_shown(told, was))
            break
    return Report(len(events), answers, opinions, leak)


def unlike(first: Any, other: Any, events: Sequence[Message]) -> Leak | None:
    """Where two machines that should be the same one decide otherwise, the first in a world that no other has lived in before."""
    clock = clock_of(events)
    return _unlike("prefix", events, _lived(first, events, clock), _lived(other, events, clock))


def clock_of(events: Sequence[Message]) -> list[int]:
    """The machine's `now` at each event: the highest instant heard of so far, ns.

    Raises:
        ValueError: an event does not say when it is told.
    """
    for event in events:
        if not isinstance(event, FeedBars) and not event.ts_init:
            kind = "a history" if isinstance(event, FeedHistory) else type(event).__name__
            raise ValueError(f"{kind} has no ts_init: without it nobody knows which of its bars had closed")
    told = (max(event.ts_init, event.end_ts) if isinstance(event, FeedBars) else event.ts_init for event in events)
    return list(accumulate(told, max))


# --- the four questions -------------------------------------------------------------------------------------------


def _foreseen(
    make_machine: Callable[[], Any],
    events: Sequence[Message],
    clock: list[int],
    whole: list[Row],
    cuts: Sequence[int],
) -> Leak | None:
    others: dict[Bar, Bar] = {}
    latest = [_latest(event) for event in events]
    for place in cuts:
        now, until = clock[place], place + 1
        lived = list(events[: until + TAIL])
        early = [number for number in range(len(lived)) if latest[number] > now]
        for number in early:
            lived[number] = _perturbed(lived[number], now, others)
        found = _lived(make_machine(), lived, clock)[:until]
        kind: Literal["future", "prefix"] = "future" if any(number < until for number in early) else "prefix"
        if leak := _unlike(kind, events, whole[:until], found):
            return leak
    return None


def _unfrozen(
    make_machine: Callable[[], Any], events: Sequence[Message], clock: list[int], whole: list[Row]
) -> Leak | None:
    machine, found = make_machine(), []
    for number, (event, now) in enumerate(zip(events, clock, strict=True)):
        frozen = msgspec.json.encode(machine.state)
        machine = make_machine()
        try:
            machine.state = msgspec.json.decode(frozen, type=type(machine).State)
        except msgspec.ValidationError as error:
            return Leak(
                "snapshot", number, _heard(event), now, f"its state, as JSON: {_cut(frozen.decode())}", f"none: {error}"
            )
        found.append(_row(machine.handle(event, now)))
    return _unlike("snapshot", events, whole, found)


def _rewritten(events: Sequence[Message], clock: list[int], effects: list[list[Effect]]) -> Leak | None:
    newest, said = 0, dict[tuple[int, str, str], str]()
    for number, (event, now) in enumerate(zip(events, clock, strict=True)):
        newest = max(newest, event.end_ts if isinstance(event, FeedBars) else 0)
        for message in _said(effects[number], Message):
            told, end_ts = _cut(_text(message)), getattr(message, "end_ts", newest)
            if end_ts > now:
                return Leak("ahead", number, _heard(event), end_ts, told, f"{now} when it said so")
            rows = _opinions(message)
            before = next((said[row] for row in rows if said.get(row, rows[row]) != rows[row]), "")
            if end_ts < newest or before:
                return Leak(
                    "rewritten", number, _heard(event), end_ts, told, _cut(before) or "silent about it until then"
                )
            said |= rows
    return None


def _unlike(kind: Any, events: Sequence[Message], whole: list[Row], found: list[Row]) -> Leak | None:
    for number, (told, was) in enumerate(zip(whole, found, strict=True)):
        if told != was:
            event = events[number]
            return Leak(kind, number, _heard(event), _instant(event), *_shown(told, was))
    return None


def _instant(event: Message) -> int:
    return event.end_ts if isinstance(event, FeedBars) else event.ts_init


# --- living -------------------------------------------------------------------------------------------------------


def _lived(machine: Any, events: Sequence[Message], clock: list[int]) -> list[Row]:
    return [_row(machine.handle(event, now)) for event, now in zip(events, clock, strict=False)]


def _row(effects: list[Effect]) -> Row:
    return tuple(type(effect).__name__.encode() + b" " + msgspec.json.encode(effect) for effect in effects)


def _said(effects: list[Effect], kind: type[Message]) -> list[Any]:
    return [each.message for each in effects if isinstance(each, Publish) and isinstance(each.message, kind)]


def _ready(effects: list[Effect]) -> int:
    """How many opinions that are ready these effects hold."""
    return sum(signal.ready for message in _said(effects, AgentSignals) for signal in message.signals)


def _opinions(message: Message) -> dict[tuple[int, str, str], str]:
    """What is said of each instrument at the instant."""
    if not isinstance(message, AgentSignals):
        return {}
    return {(message.end_ts, each.instrument, each.timeframe): _text(each) for each in message.signals}


def _latest(event: Message) -> int:
    """The latest instant that this event tells of, ns."""
    match event:
        case FeedBars() | FeedHistory():
            return max((bar.ts_close for bar in event.bars), default=0)
        case FeedMarks():
            return event.as_of
    return 0


def _perturbed(event: Message, now: int, others: dict[Bar, Bar]) -> Message:
    if isinstance(event, FeedMarks):
        return msgspec.structs.replace(event, marks=tuple(_other_mark(mark) for mark in event.marks))
    bars = tuple(bar if bar.ts_close <= now else others.setdefault(bar, _other(bar)) for bar in event.bars)  # type: ignore[attr-defined]
    return msgspec.structs.replace(event, bars=bars)


def _other(bar: Bar) -> Bar:
    """A bar of the same time: as valid, at half or twice the price, of another shape, and gone the other way."""
    random = Random(f"{bar.instrument} {bar.timeframe} {bar.ts_close}")  # noqa: S311  the same other future each time
    opens = bar.open * random.choice((random.uniform(0.4, 0.8), random.uniform(1.25, 2.5)))
    move = random.uniform(1.02, 1.2)
    closes = opens / move if bar.close >= bar.open else opens * move
    return msgspec.structs.replace(
        bar,
        open=opens,
        high=max(opens, closes) * random.uniform(1.0, 1.05),
        low=min(opens, closes) * random.uniform(0.95, 1.0),
        close=closes,
        volume=bar.volume * random.uniform(0.3, 3.0) + 1.0,
    )


def _other_mark(mark: Any) -> Any:
    names = ("bid_px", "ask_px", "last_px", "protective_px")
    return msgspec.structs.replace(mark, **{name: getattr(mark, name) * 1.5 for name in names})


# --- telling ------------------------------------------------------------------------------------------------------


def _heard(event: Message) -> str:
    match event:
        case FeedBars():
            return f"bars that closed at end_ts {event.end_ts}"
        case FeedHistory():
            return f"{event.timeframe} history of {event.instrument} told at {event.ts_init}"
    return f"{type(event).__name__} told at {event.ts_init}"


def _shown(told: Row, was: Row) -> tuple[str, str]:
    """Both in words, from a little before they part."""
    texts = [b"; ".join(row).decode() or "silence" for row in (told, was)]
    parts = next((place for place, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), 0)
    begins = max(0, parts - SHOWN_CHARS_MAX // 2)
    first, second = (("…" if begins else "") + _cut(text[begins:]) for text in texts)
    return first, second


def _text(told: Message | Signal) -> str:
    return msgspec.json.encode(told).decode()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"
