"""What the notifier asks of the world."""

from __future__ import annotations

from typing import Literal

from libs.runtime.machine import Request

Level = Literal["page", "ticket", "note"]


class SendMessage(Request, frozen=True, kw_only=True):
    """Tell people `text` (one line) through `channel`; the answer is `MessageSent`.

    At least once: after an interruption it is asked for again with `repeat`, because nobody knows whether the first one arrived.
    """

    channel: str
    level: Level
    text: str
    repeat: bool
