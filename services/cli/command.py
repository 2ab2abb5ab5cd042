"""`bulkhead halt | reduce | resume | flatten | cancel | accept-balances`: an operator's word into the log, and what became of it (libs/desk/commands.py)."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import BaselineAccepted, Message, Reconciled
from libs.desk import commands
from libs.desk.commands import LOOK_EVERY_S, Order, Outcome
from libs.desk.story_target import decoded
from libs.runtime.bus import Bus
from libs.runtime.clock import open_clock
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of
from services.cli.observer import connected
from services.cli.place import Place

USER = "cli"
CLOCK_S_MAX = 5.0


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


async def say(place: Place, order: Order, *, wait_s: float) -> Outcome:
    """Append the order and wait for what it brings about.

    Raises:
        Failure, NotSaid, KeysError, BusError, ClockUnavailable: it is not known to be in the log.
    """
    async with speaking(place) as (bus, now):
        return await commands.order(bus, contract_of(USER).writer, order, now, wait_s=wait_s)


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


def operator_name() -> str:
    """Who sits at this keyboard."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):  # a container's user id without a name
        return "operator"


async def append(bus: Bus, what: str, saying: Callable[[str, int], Message]) -> tuple[int, Message]:
    """Put what `saying` makes of the writer and its tail into the log; returns its seq, and it.

    Raises:
        NotSaid: it is not known to be there.
    """
    writer = contract_of(USER).writer
    return await commands.append(bus, writer, what, lambda tail: saying(writer, tail))


def _baseline(writer: str, reason: str, author: str, now: int, tail: int) -> BaselineAccepted:
    fact = BaselineAccepted(reason=reason, author=author)
    return commands.stamped(fact, writer, derive_id("baseline", writer, tail, reason, author), now)


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
