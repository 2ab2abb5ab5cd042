"""Letters to people, and those that wait while the channel is down: folded by kind, bounded, told later as one digest, marked late.

Letters of one level and kind fold into one that counts them and shows the latest text. Beyond the bound the oldest note goes first, then
the oldest ticket, and how many is told in the digest. Pages are never dropped: where nothing but pages is left, the two oldest kinds
become one, which still counts every page.
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter

import msgspec

from libs.common.timeframe import HOUR, MINUTE, SECOND
from services.notifier.requests import RANKS, Level
from services.notifier.wording import TEXT_CHARS_MAX

REPEAT_MARK = "(repeat) "
SEVERAL = "several"
"""The kind of pages of several kinds, folded because there were too many of them."""
MARKS_CHARS_MAX = 40
PART_CHARS_MAX = 200


class Letter(msgspec.Struct, kw_only=True):
    """A message on its way to people, or one that waits; `text` is without marks and counts, `level` the gravest of what it tells.

    It stands for `count` events; with `is_tail` their first was told in another letter. `at` is when the oldest of them happened (ns).
    `channel` is the one it was last given to. `is_noticed`: the log already says that people are told this. `waited` makes it a digest.
    """

    level: Level
    text: str
    valid_until: int
    correlation_id: str
    repeat: bool = False
    failed_count: int = 0
    kind: str = ""
    channel: str = ""
    at: int = 0
    count: int = 1
    is_tail: bool = False
    is_late: bool = False
    is_noticed: bool = False
    waited: Waiting | None = None

    def body(self, chars_max: int = TEXT_CHARS_MAX) -> str:
        """The text, cut at `chars_max`, with what it counts."""
        more = self.count if self.is_tail else self.count - 1
        text = self.text if len(self.text) <= chars_max else self.text[: chars_max - 3] + "..."
        return f"{text} ({more} more)" if more else text

    def marked(self, now: int) -> str:
        """As people read it."""
        late = f"(late by {span(now - self.at)}) " if self.is_late else ""
        return (REPEAT_MARK if self.repeat else "") + late + self.body()


class Waiting(msgspec.Struct, kw_only=True):
    """Letters that cannot leave, the oldest first, one for each level and kind; `dropped` counts by level what there was no room for."""

    letters: list[Letter] = []
    dropped: dict[Level, int] = {}

    def add(self, letter: Letter, kinds_max: int) -> None:
        """Let `letter` wait. What it has been through counts no more: its attempts begin anew. A digest falls back into its parts."""
        if letter.waited is None:
            self._fold(letter)
        else:
            for part in letter.waited.letters:
                part.repeat = part.repeat or letter.repeat
                self._fold(part)
            self.add_dropped(letter.waited.dropped)
        while len(self.letters) > kinds_max:
            self._make_room()

    def add_dropped(self, dropped: dict[Level, int]) -> None:
        """So much more was dropped elsewhere and is still to be told."""
        for level, count in dropped.items():
            self._drop(level, count)

    def take_gravest(self) -> Letter:
        """Take out the oldest of the gravest level; something must be waiting."""
        letter = min(self.letters, key=lambda each: RANKS[each.level])
        self.letters.remove(letter)
        return letter

    def take_all(self, now: int) -> Letter:
        """Take everything out as one letter: the only one as it is, several (or news of what was dropped) as a digest."""
        if len(self.letters) == 1 and not self.dropped:
            return self.letters.pop()
        waited = Waiting(letters=self.letters, dropped=self.dropped)
        self.letters, self.dropped = [], {}
        first = min(waited.letters, key=lambda each: RANKS[each.level], default=None)
        return Letter(
            level=first.level if first is not None else "note",
            text=digest_text(waited),
            valid_until=0,
            correlation_id=first.correlation_id if first is not None else "",
            at=min((each.at for each in waited.letters), default=now),
            is_late=True,
            waited=waited,
        )

    def _fold(self, letter: Letter) -> None:
        letter.is_late, letter.failed_count = True, 0
        for twin in self.letters:
            if (twin.level, twin.kind) == (letter.level, letter.kind):
                self.letters.remove(twin)
                letter = _folded(twin, letter)
                break
        insort(self.letters, letter, key=attrgetter("at"))

    def _make_room(self) -> None:
        oldest = max(self.letters, key=lambda each: RANKS[each.level])
        self.letters.remove(oldest)
        if oldest.level != "page":
            self._drop(oldest.level, oldest.count)
            return
        folded = _folded(oldest, self.letters.pop(0))
        folded.kind = SEVERAL
        self._fold(folded)

    def _drop(self, level: Level, count: int) -> None:
        self.dropped[level] = self.dropped.get(level, 0) + count


def digest_text(waited: Waiting) -> str:
    """What waited on one line of bounded length: how much of each level, then the texts, pages first, as many as fit."""
    waited_counts: dict[Level, int] = {}
    for each in waited.letters:
        waited_counts[each.level] = waited_counts.get(each.level, 0) + each.count
    line = f"{counts_text(waited_counts) or 'nothing'} waited"
    if waited.dropped:
        line += f", {counts_text(waited.dropped)} dropped"
    parts = sorted(waited.letters, key=lambda each: RANKS[each.level])
    room = TEXT_CHARS_MAX - MARKS_CHARS_MAX
    for place, part in enumerate(parts):
        text = (REPEAT_MARK if part.repeat else "") + part.body(PART_CHARS_MAX)
        rest = f"; and {len(parts) - place} kinds more"
        if len(line) + len(text) + len(part.level) + 4 + len(rest) > room:
            return line + rest
        line += f"; {part.level}: {text}"
    return line


def counts_text(counts: dict[Level, int]) -> str:
    """`2 pages, 1 ticket`, the gravest first; empty if there is nothing."""
    graded = sorted(counts.items(), key=lambda each: RANKS[each[0]])
    return ", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in graded if count)


def span(ns: int) -> str:
    """A duration in the one unit that people would use."""
    if ns < 2 * MINUTE:
        return f"{ns // SECOND} s"
    return f"{ns // MINUTE} min" if ns < 2 * HOUR else f"{ns // HOUR} h"


def _folded(one: Letter, other: Letter) -> Letter:
    older, newer = sorted((one, other), key=attrgetter("at"))
    return msgspec.structs.replace(
        newer,
        at=older.at,
        count=one.count + other.count,
        is_tail=one.is_tail and other.is_tail,
        repeat=one.repeat or other.repeat,
        is_noticed=False,
    )
