"""The console channel: one plain line on stdout for each message. It needs nothing and can always be read later in the log.

What looks like a secret is masked as in the log. A stdout that is gone (a closed pipe) is a failed send, not a crash.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TextIO

from libs.common.messages import Answer, MessageSent
from libs.common.timeframe import SECOND
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.runtime.redaction import redact
from libs.runtime.settings import ServiceSettings
from services.notifier.requests import SendMessage

CHANNEL = "console"


class ConsoleAdapter:
    """Writes messages to `out` (default: whatever stdout is at the time)."""

    def __init__(self, settings: ServiceSettings, out: TextIO | None = None):
        self._out = out
        self._context: AdapterContext

    async def open(self, context: AdapterContext) -> None:
        """Nothing to connect to."""
        self._context = context

    async def perform(self, asked: Asked) -> Answer:
        """Write one line.

        Raises:
            TypeError: the request is not a SendMessage (a defect in the machine).
        """
        request = asked.request
        if not isinstance(request, SendMessage):
            raise TypeError(f"the console cannot perform {type(request).__name__}")
        now = self._context.clock.now()
        detail = self._write(f"{_at(now)} {request.level:<6} {redact(request.text)}\n")
        return MessageSent(
            request_id=asked.request_id,
            channel=CHANNEL,
            ok=not detail,
            detail=detail,
            ts_event=now,
            ts_init=now,
        )

    async def close(self) -> None:
        """Nothing to close: stdout belongs to the process."""

    def _write(self, line: str) -> str:
        """Empty if it was written, else what was wrong."""
        out = self._out or sys.stdout
        try:
            out.write(line)
            out.flush()
        except (OSError, ValueError) as error:  # ValueError: stdout was closed, or cannot encode a character
            return type(error).__name__
        return ""


def _at(ts: int) -> str:
    return datetime.fromtimestamp(ts // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
