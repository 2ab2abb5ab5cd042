"""What an operator's door says into the log: each order once, whatever becomes of the answer to its append, and facts of its own.

An order is named by who gives it; its id follows from the name. What another life of this door has said, or what was appended and never answered, is in the
log: so nothing is appended behind what is not read yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import (
    AccessRefused,
    AlertRaised,
    CancelCommanded,
    FlattenCommanded,
    MacroOverrideCommanded,
    Message,
    MuteCommanded,
    OperatorCommanded,
)
from libs.desk import commands
from libs.desk.commands import NotSaid, Order, Outcome
from libs.runtime.bus import Bus
from libs.runtime.clock import SystemClock, VenueClock

READ_S_MAX = 2.0
"""So long an order waits for what was said here before it to be read."""
_COMMANDS = (OperatorCommanded, FlattenCommanded, CancelCommanded, MacroOverrideCommanded)


class _Unread(Exception):
    """Something was said under our prefix that we had not read when we looked."""


class AlreadySaid(Exception):
    """The name of an order was used before, for another order."""


class Voice:
    """One door's writer. `ready` gives the bus or raises NotSaid while this door may not speak; `read_to` is how far the log was read."""

    def __init__(
        self,
        writer: str,
        clock: SystemClock | VenueClock,
        ready: Callable[[], Bus],
        read_to: Callable[[], int],
    ):
        self._writer = writer
        self._clock = clock
        self._ready = ready
        self._read_to = read_to
        self._speaking = asyncio.Lock()
        self._spoken = 0
        self._said: dict[str, tuple[int, Message]] = {}

    def hear(self, seq: int, said: Message) -> None:
        """Learn an event of the log: an order of ours is said, whoever of us said it."""
        if said.producer == self._writer and isinstance(said, _COMMANDS):
            self._said[said.id] = seq, said

    def seq_of(self, said_as: str) -> int:
        """Where the order with this name stands, as far as is known; 0: nowhere."""
        return self._said.get(self._id_of(said_as), (0, None))[0]

    async def order(self, order: Order, said_as: str, wait_s: float) -> Outcome:
        """Say an order and wait up to `wait_s` for what it brings about; `said_as` is its name, under which it is said once.

        Raises:
            AlreadySaid: another order has this name. NotSaid: it is not known to be in the log. BusError: what came of it is not known.
        """
        bus = self._ready()
        command_id = self._id_of(said_as)
        message = commands.message_of(order, self._writer, command_id, self._clock.now())
        async with self._speaking:
            self._ready()  # whoever had to wait for a bus that does not answer need not find that out once more
            seq, said, is_repeated = await self._said_once(bus, order.word, message)
        if not commands.is_same(said, message):
            raise AlreadySaid(f"{said_as} was the name of another order (event {seq})")
        outcome = await commands.outcome_of(bus, order.word, seq, command_id, wait_s)
        return msgspec.structs.replace(outcome, repeated=is_repeated)

    async def record(self, message: AccessRefused | AlertRaised | MuteCommanded) -> int:
        """Append a fact of our own; returns its seq.

        Raises:
            NotSaid: it is not known to be in the log.
        """
        bus, now, writer = self._ready(), self._clock.now(), self._writer
        is_known = False

        def saying(tail: int) -> Message:
            nonlocal is_known
            is_known = tail <= self._known_to
            said_id = derive_id(type(message).__name__, writer, tail, encode(message).decode())
            return commands.stamped(message, writer, said_id, now)

        async with self._speaking:
            self._ready()
            seq, _ = await commands.append(bus, writer, type(message).__name__, saying)
            self._spoken = seq if is_known else self._spoken
        return seq

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _said_once(self, bus: Bus, what: str, message: Message) -> tuple[int, Message, bool]:
        """The order's place, the order as it stands there, and whether it stood there already."""

        def saying(tail: int) -> Message:
            if tail > self._known_to or message.id in self._said:
                raise _Unread
            return message

        until = time.monotonic() + READ_S_MAX
        while True:
            known = self._said.get(message.id)
            if known is not None:
                return *known, True
            try:
                seq, said = await commands.append(bus, self._writer, what, saying)
            except _Unread:
                if time.monotonic() >= until:
                    text = f"this door has not read yet what was said here last: {what} is not in the log"
                    raise NotSaid(text, "say it again, or use the command line on the machine of the stack") from None
                await asyncio.sleep(commands.LOOK_EVERY_S)
            else:
                self._spoken, self._said[message.id] = seq, (seq, said)
                return seq, said, False

    def _id_of(self, said_as: str) -> str:
        return derive_id("command", self._writer, said_as)

    @property
    def _known_to(self) -> int:
        """Up to here all that was said under our prefix is known: it was read, or said by us behind what was known."""
        return max(self._read_to(), self._spoken)
