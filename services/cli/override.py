"""`bulkhead risk override`: an operator's word against the weekly regime, and which of them are in force.

It is said as every other command is (`command`): appended under `ops.cli`, in force once the gate says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.codec import BadEvent, decode_from
from libs.common.ids import derive_id
from libs.common.messages import AlertRaised, MacroOverrideChanged, MacroOverrideCommanded, Message, Side
from libs.common.timeframe import HOUR
from libs.runtime.adapter import LogEntry
from services.cli.command import answer_to, append, speaking
from services.cli.place import Place
from services.cli.saying import day_and_time_of


class Wish(msgspec.Struct, frozen=True):
    """An override for so many `hours`; 0: end the one that is in force."""

    instrument: str
    side: Side
    hours: float
    reason: str
    author: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. `answered` is False while the gate has not read it; `taken`: what is in force is otherwise now."""

    seq: int
    id: str
    answered: bool
    taken: bool
    text: str


async def ask(place: Place, wish: Wish, *, wait_s: float) -> Outcome:
    """Append the wish and wait for the gate's answer.

    Raises:
        Failure, KeysError, BusError, ClockUnavailable: it is not known to be in the log.
    """
    async with speaking(place) as (bus, now):
        seq, said = await append(bus, "the override", lambda writer, tail: _command(writer, wish, now, tail))
        answer = await answer_to(bus, said.id, seq, wait_s)
    taken = isinstance(answer, MacroOverrideChanged)
    return Outcome(seq=seq, id=said.id, answered=answer is not None, taken=taken, text=_text(answer))


def in_force(log: Sequence[LogEntry]) -> list[MacroOverrideChanged]:
    """What the gate has said last of every instrument and side, where that is in force at the log's end."""
    found: dict[tuple[str, Side], MacroOverrideChanged] = {}
    now = 0
    for entry in log:
        try:
            said = decode_from(entry.subject, entry.payload)
        except BadEvent:
            continue  # `replay` tells it
        now = max(now, said.ts_init)
        if isinstance(said, MacroOverrideChanged):
            found[said.instrument, said.side] = said
    return [each for each in found.values() if each.state == "IN_FORCE" and now < each.valid_until]


def _command(writer: str, wish: Wish, now: int, tail: int) -> MacroOverrideCommanded:
    command_id = derive_id("override", writer, tail, wish.instrument, wish.side, str(wish.hours), wish.author)
    return MacroOverrideCommanded(
        id=command_id,
        ts_event=now,
        ts_init=now,
        correlation_id=command_id,
        producer=writer,
        command="SET" if wish.hours else "REVOKE",
        instrument=wish.instrument,
        side=wish.side,
        valid_until=now + round(wish.hours * HOUR),
        reason=wish.reason,
        author=wish.author,
    )


def _text(answer: Message | None) -> str:
    match answer:
        case MacroOverrideChanged(state="IN_FORCE"):
            until = day_and_time_of(answer.valid_until)
            return f"{answer.side} {answer.instrument} may go against the weekly regime until {until}: {answer.override_id}"
        case MacroOverrideChanged():
            return f"no longer in force for {answer.side} {answer.instrument}; entries approved under it: {answer.uses}"
        case AlertRaised():
            return answer.text
    return "the risk gate has not answered yet; nothing is in force until it does"
