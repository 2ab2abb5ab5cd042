"""The script of faults: what is still to strike, what lasts, and until when. Data and a wall clock; those it strikes ask it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator

import msgspec

from services.exchange_sim.faults import Fault, OrderFault, OrderKind, RestFault, SocketFault, VenueFault, is_path_like
from services.exchange_sim.wire import Json


class Standing:
    """A fault that waits or lasts: strikes left (None: no end), and the wall clock's reading at which it is over (None: never)."""

    def __init__(self, number: int, fault: Fault, left: int | None, until: float | None):
        self.number = number
        self.fault = fault
        self.left = left
        self.until = until
        self.struck = 0
        self.is_ended = False

    def is_live(self, now: float) -> bool:
        """Whether it can still strike."""
        return self.left != 0 and (self.until is None or now < self.until)


class FaultScript:
    """Faults of orders strike in their order, but for those of one type, which stand; of all that stand, first come first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._orders: deque[OrderFault] = deque()
        self._standing: dict[int, Standing] = {}
        self._next_number = 1

    def add(self, fault: Fault) -> Standing | None:
        """Append `fault` to the script; a fault of orders of any type only waits for its turn."""
        if isinstance(fault, OrderFault) and fault.ord_type is None:
            self._orders.extend([fault] * max(0, 1 if fault.times is None else fault.times))
            return None
        until = None if fault.seconds is None else self._clock() + fault.seconds
        standing = Standing(self._next_number, fault, _strikes(fault), until)
        self._next_number += 1
        self._standing[standing.number] = standing
        return standing

    def take(self, ord_types: Collection[str] = ()) -> OrderFault | None:
        """The fault that strikes a POST order of these types, if any: one that stands, else the one whose turn it is."""
        return self.take_standing(ord_types) or (self._orders.popleft() if self._orders else None)

    def take_standing(self, ord_types: Collection[str], kind: OrderKind | None = None) -> OrderFault | None:
        """The standing fault that strikes an order of these types, if any; with `kind` only one of that kind."""
        for standing in self._live():
            fault = standing.fault
            if isinstance(fault, OrderFault) and fault.ord_type in ord_types and kind in (None, fault.kind):
                self.strike(standing)
                return fault
        return None

    def pending(self) -> list[OrderKind]:
        """What is to come for orders of any type, next first."""
        return [fault.kind for fault in self._orders]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits or lasts, but for orders."""
        return not self._standing

    def on_sockets(self) -> Iterator[tuple[Standing, SocketFault]]:
        """What may strike connections now."""
        for standing in self._live():
            if isinstance(standing.fault, SocketFault):
                yield standing, standing.fault

    def on_request(self, method: str, path: str) -> tuple[Standing, RestFault] | None:
        """What strikes this request, if anything."""
        for standing in self._live():
            fault = standing.fault
            if isinstance(fault, RestFault) and fault.method in (None, method) and is_path_like(fault.path, path):
                return standing, fault
        return None

    def on_venue(self, venue: str) -> tuple[Standing, VenueFault] | None:
        """Why the venue is away, if it is."""
        for standing in self._live():
            if isinstance(standing.fault, VenueFault) and standing.fault.venue == venue:
                return standing, standing.fault
        return None

    def strike(self, standing: Standing) -> None:
        """It struck once; with its last strike it leaves the script."""
        standing.struck += 1
        if standing.left is not None:
            standing.left -= 1
            if standing.left == 0:
                self._standing.pop(standing.number, None)

    def seconds_left(self, standing: Standing) -> float | None:
        """How long it lasts yet; None: until it is ended."""
        return None if standing.until is None else max(0.0, standing.until - self._clock())

    def end(self, number: int | None = None) -> list[Standing]:
        """End one fault, or all of them, those of orders too; what lasted or waited elsewhere is returned."""
        if number is None:
            self._orders.clear()
        gone = [each for each in self._standing.values() if number in (None, each.number)]
        for each in gone:
            del self._standing[each.number]
            each.is_ended = True
        return gone

    def shown(self) -> Json:
        """For GET /sim/faults."""
        return {"pending": self.pending(), "active": [self._shown(each) for each in self._live()]}

    def _live(self) -> list[Standing]:
        if not self._standing:
            return []
        now = self._clock()
        return [each for each in self._standing.values() if each.is_live(now)]

    def _shown(self, standing: Standing) -> Json:
        return {
            "id": standing.number,
            "on": standing.fault.on,
            **msgspec.to_builtins(standing.fault),
            "struck": standing.struck,
            "times_left": standing.left,
            "seconds_left": self.seconds_left(standing),
        }


def _strikes(fault: Fault) -> int | None:
    """How often it may strike: what lasts, and what is limited by `seconds` alone, has no number."""
    if isinstance(fault, OrderFault):
        return fault.times
    if isinstance(fault, VenueFault) or fault.kind in ("freeze", "black_hole"):
        return None
    return fault.times or (1 if fault.seconds is None else None)
