"""How a story says things: the function every kind of event has its words in, and how an instant is written."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import singledispatch

from rich.text import Text

from libs.common.messages import Message

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000

Details = Iterable[str | Text]


def time_of(ts: int) -> str:
    """The time of day (UTC) of an instant (ns)."""
    at = datetime.fromtimestamp(ts // SECOND_NS, UTC)
    return f"{at:%H:%M:%S}.{ts % SECOND_NS // MILLISECOND_NS:03d}"


def day_and_time_of(ts: int) -> str:
    """An instant (ns) as people write it, for what is not of today."""
    return f"{datetime.fromtimestamp(ts // SECOND_NS, UTC):%Y-%m-%d %H:%M:%S} UTC"


@singledispatch
def said(message: Message, instruments: tuple[str, ...]) -> tuple[str, Details]:
    """A headline, and lines of detail; of `instruments` only, if there are any."""
    return type(message).__name__, ()
