"""The log as it grows, on the console of `bulkhead up`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from libs.desk.narrator import Narrator
from libs.runtime.bus import Bus
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, connect_options
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.streams import TRADING


async def follow(home: Path, nats_url: str, show: Callable[[Text], None], from_seq: int = 0) -> None:
    """Show the log as it grows, for ever, from `from_seq` on (0: from its end)."""
    bus = await Bus.connect(connect_options(home, OBSERVER_USER, nats_url), TRADING, api=GUEST_API)
    try:
        pull = OrderedPull(bus, "console", from_seq or await bus.last_seq() + 1)
        narrator = Narrator()
        while True:
            pulled = await pull.next()
            line = narrator.line_at(pulled.entry.subject, pulled.entry.payload) if pulled else None
            if line is not None:
                show(line)
    finally:
        await bus.close()
