"""A channel to people behind its breaker: whether a letter may leave, what waits meanwhile, and what is said when it goes down and comes back.

    CLOSED ──failures──▶ OPEN: CHANNEL_DOWN ──pause──▶ HALF_OPEN: one letter is the probe ──it arrives──▶ CLOSED: CHANNEL_UP
                           ▲                                        │
                           └──────────── it fails, in silence ──────┘

How fast a channel is says nothing: a slow message is told. In HALF_OPEN the failure of a letter that left before is no news.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AlertRaised, MessageSent
from libs.runtime.breaker import Breaker, BreakerChange, BreakerLimits
from libs.runtime.machine import CancelTimer, Effect, Publish, SetTimer
from services.notifier.letters import Waiting, counts_text, span

BREAKER_TIMER = "breaker."
DETAIL_CHARS_MAX = 200


class Channel(msgspec.Struct, kw_only=True):
    """What is remembered of a channel: its breaker, the request that is its probe, its timer (ns, 0: none), since when it is down (ns), and
    what waits for it."""

    breaker: Breaker = msgspec.field(default_factory=Breaker)
    probe_id: str = ""
    timer_at: int = 0
    down_since: int = 0
    waiting: Waiting = msgspec.field(default_factory=Waiting)

    def due(self, name: str, limits: BreakerLimits, now: int) -> list[Effect]:
        """Let time do its work."""
        return self._moved(name, self.breaker.due(limits, now), "", now)

    def note(self, name: str, limits: BreakerLimits, answer: MessageSent, now: int) -> list[Effect]:
        """A letter was taken, or refused."""
        if self.breaker.state == "HALF_OPEN" and not answer.ok and answer.request_id != self.probe_id:
            return []
        if answer.request_id == self.probe_id:
            self.probe_id = ""
        change = self.breaker.note(limits, now, ok=answer.ok, latency_ns=0)
        return self._moved(name, change, answer.detail, now)

    def unproven(self, request_id: str) -> None:
        """This request was never made, or nobody knows: if it was the probe, another letter may be."""
        if request_id == self.probe_id:
            self.probe_id = ""
            self.breaker.give_back()

    def timer(self, name: str, limits: BreakerLimits) -> list[Effect]:
        """What keeps the timer where the breaker wants it."""
        due = self.breaker.due_at(limits) or 0
        if due == self.timer_at:
            return []
        self.timer_at = due
        return [SetTimer(BREAKER_TIMER + name, due) if due else CancelTimer(BREAKER_TIMER + name)]

    def _moved(self, name: str, change: BreakerChange | None, detail: str, now: int) -> list[Effect]:
        if change is None:
            return []
        self.probe_id = ""
        if change.new == "OPEN" and change.old == "CLOSED":
            self.down_since = now
            last = f", last with {detail[:DETAIL_CHARS_MAX]!r}" if detail else ""
            return [_alert("CHANNEL_DOWN", "ticket", f"{name}: {change.reason}{last}; messages wait")]
        if change.new != "CLOSED":
            return []
        text = f"{name} works again after {span(now - self.down_since)}"
        counts: dict[str, int] = {}
        for each in self.waiting.letters:
            counts[each.level] = counts.get(each.level, 0) + each.count
        for verb, count in (("still to tell", counts_text(counts)), ("dropped", counts_text(self.waiting.dropped))):
            text += f"; {verb}: {count}" if count else ""
        return [_alert("CHANNEL_UP", "note", text)]


def _alert(code: str, severity: str, text: str) -> Publish:
    return Publish(AlertRaised(code=code, severity=severity, text=text))  # type: ignore[arg-type]
