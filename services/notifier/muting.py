"""A channel whose people want to be told less for a while: what is not told is counted, and the count is told when the while is over.

Only what is new is held back: what was under way or waited before comes as it would have. Pages are never held back.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AlertRaised, MuteCommanded
from libs.common.timeframe import HOUR
from libs.runtime.machine import CancelTimer, Effect, Publish, SetTimer
from services.notifier.letters import counts_text
from services.notifier.requests import RANKS, Level

MUTE_TIMER = "mute."
MUTED_MAX = 24 * HOUR
"""Nobody is told less for longer than this: who goes away for a week forgets that he said so."""


class Mute(msgspec.Struct, kw_only=True):
    """In force until `until` (ns) for everything of `level` and below; `untold` counts by level what was held back."""

    level: Level
    until: int
    author: str
    untold: dict[Level, int] = {}


class Muting(msgspec.Struct, kw_only=True):
    """Who is told less, by channel."""

    mutes: dict[str, Mute] = {}

    def command(self, said: MuteCommanded, channels: tuple[str, ...], now: int) -> list[Effect]:
        """Take a mute into force, lengthen it, or end it."""
        if said.channel not in channels:
            text = f"MUTE by {said.author[:64]} changes nothing: nobody is told by {said.channel[:64]!r}"
            return [Publish(AlertRaised(code="COMMAND_WITHOUT_EFFECT", severity="note", text=text))]
        known = self.mutes.get(said.channel)
        until = min(said.until, now + MUTED_MAX)
        if until <= now and known is None:
            return []
        self.mutes[said.channel] = Mute(
            level=said.level, until=max(until, now), author=said.author, untold=known.untold if known else {}
        )
        return [SetTimer(MUTE_TIMER + said.channel, max(until, now))]

    def holds_back(self, channel: str, level: Level, now: int) -> bool:
        """Whether a letter of this level is not told there now; it is counted if so."""
        mute = self.mutes.get(channel)
        if mute is None or now >= mute.until or level == "page" or RANKS[level] < RANKS[mute.level]:
            return False
        mute.untold[level] = mute.untold.get(level, 0) + 1
        return True

    def over(self, channel: str) -> str:
        """The while is over: what to tell there; "" if there was none."""
        mute = self.mutes.pop(channel, None)
        if mute is None:
            return ""
        untold = counts_text(mute.untold)
        return (
            f"no longer muted; not told meanwhile: {untold}" if untold else "no longer muted; there was nothing to tell"
        )

    def forget_others(self, channels: tuple[str, ...]) -> list[Effect]:
        """Channels that are no longer told need no mute."""
        gone = [name for name in self.mutes if name not in channels]
        for name in gone:
            del self.mutes[name]
        return [CancelTimer(MUTE_TIMER + name) for name in gone]
