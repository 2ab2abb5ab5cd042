"""`bulkhead halt | reduce | resume | accept-balances`: an operator's word into the log, and what became of it.

The command is appended on the condition that nobody has said anything under `ops.cli` since we looked, so two operators at once
are two commands in some order. It takes effect when the gate has read it: we wait for the gate's answer, which names the
command as its cause.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    BaselineAccepted,
    Message,
    OperatorCommanded,
    Reconciled,
    TradingState,
    TradingStateChanged,
)
from libs.common.subjects import TOKEN, subject_of, writer_filter
from libs.runtime.bus import AppendUnknown, Bus, Fenced
from libs.runtime.clock import open_clock
from libs.runtime.engine import Append
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of
from libs.runtime.tracing import traceparent
from services.cli.exit_codes import UNAVAILABLE, Failure
from services.cli.observer import connected
from services.cli.place import Place
from services.cli.story_target import decoded

Word = Literal["HALT", "REDUCE", "RESUME"]

USER = "cli"
CLOCK_S_MAX = 5.0
TRIES_MAX = 5
LOOK_EVERY_S = 0.05


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command. `answered` is False while the gate has not read it; `changed`: trading is otherwise now."""

    command: Word
    seq: int
    id: str
    answered: bool
    changed: bool
    state: TradingState
    text: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of accepted balances. `answered` is False while no comparison came after it; `clean`: that one found nothing unexplained."""

    seq: int
    id: str
    answered: bool
    clean: bool
    text: str


async def accept_balances(place: Place, *, reason: str, author: str, wait_s: float) -> Accepted:
    """Append that the venue's balances are the truth, and wait for the executor's next comparison.

    Raises:
        Failure, KeysError, BusError, ClockUnavailable: it is not known to be in the log.
    """
    async with speaking(place) as (bus, now):
        seq, said = await append(bus, "ACCEPT", lambda writer, tail: _baseline(writer, reason, author, now, tail))
        return _accepted(seq, said, await _comparison_after(bus, seq, wait_s))


async def say(place: Place, word: Word, *, reason: str, author: str, wait_s: float) -> Outcome:
    """Append the command and wait for the gate's answer.

    Raises:
        Failure, KeysError, BusError, ClockUnavailable: it is not known to be in the log.
    """
    async with speaking(place) as (bus, now):
        seq, said = await append(bus, word, lambda writer, tail: _command(writer, word, reason, author, now, tail))
        answer = await answer_to(bus, said.id, seq, wait_s)
        state = await _trading_state(bus)
    return _outcome(word, seq, said, answer, state)


@asynccontextmanager
async def speaking(place: Place) -> AsyncIterator[tuple[Bus, int]]:
    """The bus as the operator's writer may use it, and the time (ns) of the clock that the services follow.

    Raises:
        Failure, KeysError, BusError, ClockUnavailable
    """
    clock = open_clock(place.clock_url)
    async with connected(place, USER, api_prefix(contract_of(USER))) as bus:
        try:
            await clock.connect(CLOCK_S_MAX)
            now = clock.now()
        finally:
            await clock.close()
        yield bus, now


def is_instrument(text: str) -> bool:
    """Whether this is written as instruments are: BTC-USDT."""
    base, _, quote = text.partition("-")
    return bool(base and quote and TOKEN.fullmatch(text))


def operator_name() -> str:
    """Who sits at this keyboard."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):  # a container's user id without a name
        return "operator"


async def append(bus: Bus, word: str, saying: Callable[[str, int], Message]) -> tuple[int, Message]:
    """Put what `saying` makes of the writer and its tail into the log; returns its seq, and it.

    Raises:
        Failure: it is not known to be there.
    """
    writer = contract_of(USER).writer
    prefix = writer_filter(writer)
    for _ in range(TRIES_MAX):
        last = await bus.last_under(prefix)
        tail = 0 if last is None else last.seq
        said = saying(writer, tail)
        entry = Append(subject_of(said), encode(said), said, tail)
        try:
            return await bus.append(entry, prefix, {"traceparent": traceparent(said)}), said
        except Fenced:  # somebody else has spoken in between: say it again after him
            continue
        except AppendUnknown:
            raise Failure(
                UNAVAILABLE,
                f"no answer from the bus: nobody knows whether {word} is in the log",
                "look at `bulkhead status`; saying it again does no harm",
            ) from None
    raise Failure(UNAVAILABLE, f"{word} is not in the log: others keep speaking at the same time", "say it again")


async def _trading_state(bus: Bus) -> TradingState:
    last = await bus.last_under("risk.state")
    message = None if last is None else decoded(last)
    return message.state if isinstance(message, TradingStateChanged) else "ACTIVE"


def _command(writer: str, word: Word, reason: str, author: str, now: int, tail: int) -> OperatorCommanded:
    """Its id follows from its place, so that the same word at another time is another command."""
    command_id = derive_id("command", writer, tail, word, reason, author)
    return OperatorCommanded(
        id=command_id,
        ts_event=now,
        ts_init=now,
        correlation_id=command_id,
        producer=writer,
        command=word,
        reason=reason,
        author=author,
    )


def _baseline(writer: str, reason: str, author: str, now: int, tail: int) -> BaselineAccepted:
    baseline_id = derive_id("baseline", writer, tail, reason, author)
    return BaselineAccepted(
        id=baseline_id,
        ts_event=now,
        ts_init=now,
        correlation_id=baseline_id,
        producer=writer,
        reason=reason,
        author=author,
    )


async def _comparison_after(bus: Bus, seq: int, wait_s: float) -> Reconciled | None:
    """The executor's first comparison after `seq`; None if there is none within `wait_s`."""
    until = time.monotonic() + wait_s
    while True:
        entry = await bus.first_on("exec.reconciled", seq + 1)
        message = None if entry is None else decoded(entry)
        if isinstance(message, Reconciled):
            return message
        if time.monotonic() >= until:
            return None
        await asyncio.sleep(LOOK_EVERY_S)


def _accepted(seq: int, said: Message, found: Reconciled | None) -> Accepted:
    if found is None:
        text = "accepted; the executor has not compared with the venue since"
    elif found.clean:
        text = "accepted; books and venue agree"
    else:
        text = "accepted; the next comparison still found: " + "; ".join(found.mismatches)
    return Accepted(seq=seq, id=said.id, answered=found is not None, clean=found is not None and found.clean, text=text)


async def answer_to(bus: Bus, command_id: str, seq: int, wait_s: float) -> Message | None:
    """What the gate derived from the command; None if it has not within `wait_s`."""
    until, from_seq = time.monotonic() + wait_s, seq + 1
    while True:
        entry = await bus.first_on("risk.>", from_seq)
        if entry is not None:
            from_seq = entry.seq + 1
            message = decoded(entry)
            if message is not None and message.causation_id == command_id:
                return message
        elif time.monotonic() >= until:
            return None
        else:
            await asyncio.sleep(LOOK_EVERY_S)


def _outcome(word: Word, seq: int, said: Message, answer: Message | None, state: TradingState) -> Outcome:
    match answer:
        case TradingStateChanged():
            text = f"trading is {answer.state} now, it was {answer.previous}"
        case AlertRaised():
            text = answer.text
        case _:
            text = f"the risk gate has not answered yet; trading is {state} until it does"
    return Outcome(
        command=word,
        seq=seq,
        id=said.id,
        answered=answer is not None,
        changed=isinstance(answer, TradingStateChanged),
        state=state,
        text=text,
    )
