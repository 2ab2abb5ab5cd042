"""From when on executions must be read at Kraken, whose ids of executions have no order.

What the machine calls its newest execution is only the largest string, and may be an old one. It proves all the same: everything up to
its moment has been told, because it was told by a good reading. So a process that has just begun reads on from the oldest of these
moments, which may be far back; the machine drops what it has booked. Later the adapter knows better: once the machine remembers every
execution of an earlier reading, the next one begins at the newest of those, less a minute for what the venue's history shows late.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from libs.common.messages import VenueFill
from services.order_executor.orders import exec_key
from services.order_executor.state import State

OVERLAP_NS = 60 * 10**9
TXID = re.compile(r"[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{6}")


class ReadUpTo:
    """What is proved to be known to the machine, whose memory `state` shows."""

    def __init__(self, state: Callable[[], State | None]) -> None:
        self._state = state
        self._told: tuple[VenueFill, ...] = ()
        self._proved = 0

    def since(self) -> int:
        """Executions at or before this moment (ns) are known to the machine; 0: nothing is proved in this process."""
        state = self._state()
        if self._told and state is not None and all(_is_known(fill, state) for fill in self._told):
            newest = max(fill.ts_event for fill in self._told)
            self._proved = max(self._proved, newest - OVERLAP_NS)
            self._told = ()
        return self._proved

    def told(self, fills: tuple[VenueFill, ...]) -> None:
        """A reading told these."""
        self._told = fills


def txids_of(marks: Collection[str]) -> list[str]:
    """Those of the machine's watermarks that are executions of Kraken's."""
    return sorted(mark for mark in marks if TXID.fullmatch(mark))


def _is_known(fill: VenueFill, state: State) -> bool:
    key = exec_key(fill)
    return key in state.booked or key in state.foreign
