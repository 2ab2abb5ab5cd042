"""Whether the model is worth asking now. Pure: `now` (ns, wall time) is an argument.

The last `WINDOW` askings are counted, however far apart they are: bars are minutes apart, so a window of time would be empty. Half of at least
`ASKED_MIN` failed, an answer that is none included: the route opens for a minute, then two, up to half an hour; then one asking is the
probe. What no later asking can mend (a refused key, no quota, a redirect) opens at once. A server that names a time is left alone until then.
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from libs.runtime.breaker import SECOND_NS, Breaker, BreakerChange, BreakerLimits
from services.signal_agents.llm.failures import LASTING, OURS, Failure

WINDOW = 20
ASKED_MIN = 5
RETRY_AFTER_S_MAX = 3_600.0
_NEVER = 1_000_000_000

LIMITS = BreakerLimits(
    failures_in_a_row_max=_NEVER,  # the window below counts instead
    calls_min=_NEVER,
    latency_ns_max=_NEVER * SECOND_NS,
    open_ns_first=60 * SECOND_NS,
    open_ns_max=1_800 * SECOND_NS,
    probe_ns_max=120 * SECOND_NS,
)


class Route(msgspec.Struct):
    """The way to one model: its breaker, how the last askings went, and until when (ns) the server wants to be left alone."""

    breaker: Breaker = msgspec.field(default_factory=Breaker)
    last: list[bool] = []
    quiet_until: int = 0

    def allows(self, now: int) -> bool:
        """Whether an asking may leave now; if it may and does not, `give_back` it."""
        if self.quiet_until > now + int(RETRY_AFTER_S_MAX) * SECOND_NS:
            self.quiet_until = 0  # the clock was set back
        return now >= self.quiet_until and self.breaker.allows(LIMITS, now)

    def give_back(self) -> None:
        """The asking that was allowed did not leave."""
        self.breaker.give_back()

    def note(self, failure: Failure | None, now: int, retry_after_s: float = 0.0) -> BreakerChange | None:
        """An asking has ended so; None as failure: with a judgement."""
        if failure in OURS:
            return None
        if retry_after_s > 0:
            self.quiet_until = max(self.quiet_until, now + int(retry_after_s * SECOND_NS))
        if failure in LASTING:
            if self.breaker.state == "OPEN":
                return None  # it left before the route opened, and says nothing new
            self.last = []
            return self.breaker.trip(LIMITS, now, f"{failure}: asking again will not mend it")
        change = self.breaker.note(LIMITS, now, ok=failure is None, latency_ns=0)
        if self.breaker.state != "CLOSED" or change is not None:
            self.last = []
            return change
        self.last = [*self.last, failure is None][-WINDOW:]
        bad = self.last.count(False)
        if len(self.last) >= ASKED_MIN and 2 * bad >= len(self.last):
            reason = f"{bad} of the last {len(self.last)} askings failed, the last one with {failure or 'nothing'}"
            self.last = []
            return self.breaker.trip(LIMITS, now, reason)
        return None


def retry_after_s(header: str, now: int) -> float:
    """How long a server wants to be left alone, in seconds: a number or a date; 0 if it says nothing that can be meant."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            when = parsedate_to_datetime(header)
        except ValueError:
            return 0.0
        when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        seconds = when.timestamp() - now / SECOND_NS
    return min(seconds, RETRY_AFTER_S_MAX) if math.isfinite(seconds) and seconds > 0 else 0.0
