"""What operators may order, how an order gets into the log, and what came of it. Command line, gateway and bot say it the same way.

An order is appended on the condition that nobody has spoken under the same prefix since we looked, so two operators at once are two orders in some
order. It takes effect when whom it concerns has read it: the gate, or for CANCEL the executor. We wait for the answer, which names the order as its cause.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    CancelCommanded,
    FlattenCommanded,
    FlattenOrdered,
    MacroOverrideChanged,
    MacroOverrideCommanded,
    Message,
    OperatorCommanded,
    ServiceStarted,
    Side,
    TradingState,
    TradingStateChanged,
)
from libs.common.subjects import TOKEN, subject_of, writer_filter
from libs.common.timeframe import HOUR
from libs.desk.saying import day_and_time_of
from libs.desk.story_target import decoded
from libs.runtime.bus import Bus
from libs.runtime.bus_errors import AppendUnknown, BusError, Fenced, NotTaken
from libs.runtime.engine import Append
from libs.runtime.tracing import traceparent

Fact = TypeVar("Fact", bound=Message)
Word = Literal["HALT", "REDUCE", "RESUME", "FLATTEN", "CANCEL", "OVERRIDE"]

TRIES_MAX = 5
LOOK_EVERY_S = 0.02
GAP_S_MAX = 3.0
"""So long at most a command waits while no epoch of the log takes anything."""
OVERRIDE_HOURS_MAX = 168.0
WITHOUT_EFFECT = ("COMMAND_WITHOUT_EFFECT", "RESUME_WITHOUT_REASON", "MACRO_OVERRIDE_REFUSED")


class NotSaid(Exception):
    """An order is not known to be in the log; `cure` says what to do next."""

    def __init__(self, text: str, cure: str):
        super().__init__(text)
        self.text = text
        self.cure = cure


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants; `author` is who, as far as his door has proven it.

    `cl_ord_id` is for CANCEL ("": every resting entry); instrument, side and `hours` (0: end the one in force) are for OVERRIDE.
    """

    word: Word
    reason: str
    author: str
    cl_ord_id: str = ""
    instrument: str = ""
    side: Side = "BUY"
    hours: float = 0.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order. `answered` is False while nobody has acted on it; `changed`: something is otherwise now.

    `seq` and `id` are the order's own in the log, `answer_seq` and `answer_id` those of what it brought about (0, "": nothing yet). `repeated`: it
    had been said before, and was not said again.
    """

    command: Word
    seq: int
    id: str
    answered: bool
    changed: bool
    state: TradingState
    text: str
    answer_seq: int = 0
    answer_id: str = ""
    repeated: bool = False


def message_of(order: Order, writer: str, command_id: str, now: int) -> Message:
    """The order as an event (times in ns)."""
    common = {
        "id": command_id,
        "ts_event": now,
        "ts_init": now,
        "correlation_id": command_id,
        "producer": writer,
        "reason": order.reason,
        "author": order.author,
    }
    match order.word:
        case "FLATTEN":
            return FlattenCommanded(**common)
        case "CANCEL":
            return CancelCommanded(cl_ord_id=order.cl_ord_id, **common)
        case "OVERRIDE":
            return MacroOverrideCommanded(
                command="SET" if order.hours else "REVOKE",
                instrument=order.instrument,
                side=order.side,
                valid_until=now + round(order.hours * HOUR),
                **common,
            )
        case _:
            return OperatorCommanded(command=order.word, **common)


def stamped(message: Fact, writer: str, said_id: str, now: int) -> Fact:
    """A fact as `writer` says it at `now` (ns): the first of a story of its own, under `said_id`."""
    return msgspec.structs.replace(
        message, id=said_id, ts_event=now, ts_init=now, correlation_id=said_id, producer=writer
    )


def command_id_of(writer: str, said_as: str, order: Order) -> str:
    """The id of an order: from `said_as`, which its door never uses twice, and from what is ordered."""
    parts = (order.word, order.reason, order.author, order.cl_ord_id, order.instrument, order.side, str(order.hours))
    return derive_id("command", writer, said_as, *parts)


async def order(bus: Bus, writer: str, wanted: Order, now: int, *, said_as: str = "", wait_s: float) -> Outcome:
    """Put `wanted` into the log and wait up to `wait_s` for what it brings about. Without `said_as` it is named after its place.

    Raises:
        NotSaid: it is not known to be in the log. BusError: what came of it cannot be read.
    """

    def saying(tail: int) -> Message:
        return message_of(wanted, writer, command_id_of(writer, said_as or str(tail), wanted), now)

    seq, said = await append(bus, writer, wanted.word, saying)
    return await outcome_of(bus, wanted.word, seq, said.id, wait_s)


async def say_start(bus: Bus, writer: str, instance: str, code_version: str, now: int) -> int:
    """Say that a life of a door begins, before anything can end it: lives that end early are what has to be seen.

    Raises:
        BusError: it is not known to be in the log; begin again.
    """

    def saying(tail: int) -> Message:
        said_id = derive_id("started", writer, tail, instance, now)
        common = {"id": said_id, "correlation_id": said_id, "ts_event": now, "ts_init": now, "producer": writer}
        return ServiceStarted(instance=instance, code_version=code_version, settings={}, state_digest="", **common)

    try:
        seq, _ = await append(bus, writer, "our start", saying)
    except NotSaid as error:
        raise BusError(str(error)) from error
    return seq


async def outcome_of(bus: Bus, word: Word, seq: int, command_id: str, wait_s: float) -> Outcome:
    """What has come of the order at `seq`, waited for up to `wait_s`."""
    seen = await answer_to(bus, command_id, seq, wait_s, "exec.>" if word == "CANCEL" else "risk.>")
    return _outcome(word, seq, command_id, seen, await trading_state(bus))


async def append(bus: Bus, writer: str, what: str, saying: Callable[[int], Message]) -> tuple[int, Message]:
    """Put what `saying` makes of the writer's tail into the log; returns its seq, and it.

    Raises:
        NotSaid: it is not known to be there.
    """
    prefix, until, tries = writer_filter(writer), time.monotonic() + GAP_S_MAX, 0
    while tries < TRIES_MAX:
        tail = await _tail(bus, prefix, what)
        said = saying(tail)
        entry = Append(subject_of(said), encode(said), said, tail)
        try:
            return await bus.append(entry, prefix, {"traceparent": traceparent(said)}), said
        except Fenced:  # somebody else has spoken in between: say it again after him
            tries += 1
        except NotTaken as error:  # the log is going over to another epoch: a moment later it takes it
            if time.monotonic() > until:
                text = f"nobody takes it, {what} is not in the log: {error}"
                raise NotSaid(text, "look at `bulkhead doctor`, then say it again") from None
            await asyncio.sleep(LOOK_EVERY_S)
        except AppendUnknown:
            raise NotSaid(
                f"no answer from the bus: nobody knows whether {what} is in the log",
                "look at how things stand; saying it again does no harm",
            ) from None
        except BusError as error:
            text = f"the log does not take it, {what} is not in the log: {error}"
            raise NotSaid(text, "look at `bulkhead doctor`, then say it again") from None
    raise NotSaid(f"{what} is not in the log: others keep speaking at the same time", "say it again")


def is_same(one: Message, other: Message) -> bool:
    """Whether two commands order the same; when they were said does not matter, unless they say until when something holds."""
    apart = {"ts_event": 0, "ts_init": 0, "done_in_seq": 0, "done_out_index": 0}
    if isinstance(one, MacroOverrideCommanded) and isinstance(other, MacroOverrideCommanded):
        one_lasts, other_lasts = one.valid_until - one.ts_init, other.valid_until - other.ts_init
        if one_lasts != other_lasts:
            return False
        apart["valid_until"] = 0
    return type(one) is type(other) and msgspec.structs.replace(one, **apart) == msgspec.structs.replace(other, **apart)


async def _tail(bus: Bus, prefix: str, what: str) -> int:
    """Where the writer's prefix ends; 0: nothing was said under it.

    Raises:
        NotSaid: the bus does not say, and so nothing can be said.
    """
    try:
        last = await bus.last_under(prefix)
    except BusError as error:
        text = f"the bus does not answer, {what} is not in the log: {error}"
        raise NotSaid(text, "look at `bulkhead doctor`, then say it again") from None
    return 0 if last is None else last.seq


async def answer_to(
    bus: Bus, command_id: str, seq: int, wait_s: float, where: str = "risk.>"
) -> tuple[int, Message] | None:
    """The first event under `where` whose cause is the order, and its seq; None if there is none within `wait_s`."""
    until, from_seq = time.monotonic() + wait_s, seq + 1
    while True:
        entry = await bus.first_on(where, from_seq)
        if entry is not None:
            from_seq = entry.seq + 1
            message = decoded(entry)
            if message is not None and message.causation_id == command_id:
                return entry.seq, message
        elif time.monotonic() >= until:
            return None
        else:
            await asyncio.sleep(LOOK_EVERY_S)


async def trading_state(bus: Bus) -> TradingState:
    """What the gate has said last."""
    last = await bus.last_under("risk.state")
    message = None if last is None else decoded(last)
    return message.state if isinstance(message, TradingStateChanged) else "ACTIVE"


def is_instrument(text: str) -> bool:
    """Whether this is written as instruments are: BTC-USDT."""
    base, _, quote = text.partition("-")
    return bool(base and quote and TOKEN.fullmatch(text))


def _outcome(word: Word, seq: int, command_id: str, seen: tuple[int, Message] | None, state: TradingState) -> Outcome:
    answer_seq, answer = seen if seen is not None else (0, None)
    is_in_vain = isinstance(answer, AlertRaised) and answer.code in WITHOUT_EFFECT
    return Outcome(
        command=word,
        seq=seq,
        id=command_id,
        answered=answer is not None,
        changed=answer is not None and not is_in_vain,
        state=state,
        text=_text(word, answer, state),
        answer_seq=answer_seq,
        answer_id="" if answer is None else answer.id,
    )


def _text(word: Word, answer: Message | None, state: TradingState) -> str:
    match answer:
        case TradingStateChanged() if word == "FLATTEN":
            return f"trading is {answer.state} now, it was {answer.previous}, and everything is to be sold"
        case TradingStateChanged():
            return f"trading is {answer.state} now, it was {answer.previous}"
        case FlattenOrdered():
            return f"everything is to be sold; trading is {state}"
        case MacroOverrideChanged(state="IN_FORCE"):
            until = day_and_time_of(answer.valid_until)
            return f"{answer.side} {answer.instrument} may go against the weekly regime until {until}: {answer.override_id}"
        case MacroOverrideChanged():
            return f"no longer in force for {answer.side} {answer.instrument}; entries approved under it: {answer.uses}"
        case AlertRaised():
            return answer.text
    if word == "OVERRIDE":
        return "the risk gate has not answered yet; nothing is in force until it does"
    if word == "CANCEL":
        return "the executor has not answered yet"
    return f"the risk gate has not answered yet; trading is {state} until it does"
