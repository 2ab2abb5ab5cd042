"""The port between the feed and one venue's public sockets: ccxt's reader and our own both speak it.

A reader owns its connections: it connects, subscribes, answers pings, reconnects with back-off, and checks every frame (frames.py)
before it hands a fact on. It judges no price and measures no silence. What it knows of a connection it shows in a `Link`;
whoever watches it (line.py) compares two looks at a link and says `renew`.

    venue ══ws══▶ reader ── trade / quote / refused / connected ──▶ Sink
                    └── links (epoch, is_up, frames, signs) ──▶ the watch ── renew(link) ──▶ reader

Two readers on the same frames emit equal events: ids follow from the venue's own numbers, `ts_init` from the clock port.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from libs.common.messages import QuoteChanged, TradePrinted

Now = Callable[[], int]
"""The clock port: nanoseconds UTC."""


class Link(msgspec.Struct, kw_only=True, eq=False):
    """One connection as its reader sees it now.

    `epoch` counts the connections on which the venue has answered: a new one means that something may be missing before it.
    `frames` counts market frames, good or refused; `signs` counts whatever else proves the other end alive (pongs, pings,
    acknowledgements). Both only grow.
    """

    name: str
    instruments: tuple[str, ...]
    has_trades: bool
    has_quotes: bool
    epoch: int = 0
    is_up: bool = False
    frames: int = 0
    signs: int = 0


class Sink(Protocol):
    """Who is told. Synchronous, never blocks, never raises."""

    def trade(self, trade: TradePrinted) -> None:
        """A trade was printed, well-formed; its price is not judged yet."""
        ...

    def quote(self, quote: QuoteChanged) -> None:
        """The best bid and offer changed; well-formed, not judged yet."""
        ...

    def refused(self, reason: str, instrument: str, frame: str) -> None:
        """A frame nobody may believe: the slug of why, the instrument it is about ("" if nobody can tell), its text."""
        ...

    def connected(self, link: Link) -> None:
        """`link` has a new epoch: from now on every change is told; before, something may be missing."""
        ...


class SocketReader(Protocol):
    """The sockets of one venue; each asks the other end for a sign of life every `ping_s`."""

    venue: str
    ping_s: float

    @property
    def links(self) -> Sequence[Link]:
        """Every connection it keeps or tries to keep, brought up to date; the list is the same for its whole life."""
        ...

    async def run(self) -> None:
        """Read for ever. Losing a connection is no end; an exception is a defect. Cancelled to stop."""
        ...

    def renew(self, link: Link, reason: str) -> None:
        """Give up this connection, however well it looks; a new one is made at once."""
        ...

    async def close(self) -> None:
        """Close every connection; within two seconds."""
        ...


def shown(frame: Any, chars_max: int = 200) -> str:
    """A frame as text for people: shortened, printable."""
    text = frame.decode("utf-8", "replace") if isinstance(frame, bytes | bytearray | memoryview) else str(frame)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:chars_max])
