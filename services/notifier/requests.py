"""What the notifier asks of the world."""

from __future__ import annotations

from typing import Literal

from libs.runtime.machine import Request

Level = Literal["page", "ticket", "note"]
RANKS: dict[Level, int] = {"page": 0, "ticket": 1, "note": 2}
"""The gravest first."""
UNSURE = "unsure: "
"""So begins the `detail` of a failure that may yet have arrived: who tries it again has to say that it may be a repeat."""


class SendMessage(Request, frozen=True, kw_only=True):
    """Tell people `text` (one line) through `channel`; the answer is `MessageSent`, with `UNSURE` where it failed and may have arrived.

    At least once: after an interruption it is asked for again with `repeat`, because nobody knows whether the first one arrived.
    """

    channel: str
    level: Level
    text: str
    repeat: bool
