"""Times in which nothing is entered: every week the same hours, or once. All of them are UTC and [start, end).

Fri 20:00-Sun 22:00                    every week; it may run over the week's end (Sun 22:00-Mon 02:00)
2026-12-16T18:30/2026-12-16T20:00      once
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from libs.common.timeframe import ANCHOR, DAY, HOUR, MINUTE, SECOND, WEEK

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOMENT = rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)"
_WEEKLY = re.compile(rf"{_MOMENT}-{_MOMENT}")
WISH = "want windows like 'Fri 20:00-Sun 22:00' or '2026-12-16T18:30/2026-12-16T20:00' (UTC), separated by commas"


class Blackout(msgspec.Struct, frozen=True):
    """`start` and `end` are ns: of the time itself, or of the week since Monday 00:00 where it is `weekly`."""

    text: str
    weekly: bool
    start: int
    end: int

    def covers(self, ts: int) -> bool:
        """Whether `ts` (ns) lies within."""
        if not self.weekly:
            return self.start <= ts < self.end
        at = (ts - ANCHOR["1w"]) % WEEK
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


def parse_blackout(text: str) -> Blackout:
    """The window that `text` names.

    Raises:
        ValueError: it names none, or an empty one.
    """
    weekly = _WEEKLY.fullmatch(text)
    if weekly:
        start, end = _of_week(*weekly.groups()[:3]), _of_week(*weekly.groups()[3:])
    else:
        start, end = (_instant(part, text) for part in _two_parts(text))
    if start == end or (end < start and not weekly):
        raise ValueError(f"{text!r} ends before it begins, or as it does; {WISH}")
    return Blackout(text, weekly is not None, start, end)


def _of_week(day: str, hour: str, minute: str) -> int:
    return DAYS.index(day) * DAY + int(hour) * HOUR + int(minute) * MINUTE


def _two_parts(text: str) -> tuple[str, str]:
    begins, slash, ends = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no window; {WISH}")
    return begins, ends


def _instant(part: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(part)
    except ValueError:
        raise ValueError(f"{text!r} is no window; {WISH}") from None
    if at.tzinfo is not None and at.utcoffset():
        raise ValueError(f"{text!r} is not in UTC; {WISH}")
    return int(at.replace(tzinfo=UTC).timestamp()) * SECOND
