"""What a paper run calls an anomaly, and the test that pins how the system answers each kind.

An anomaly is what a person would be told of (an alert that pages or wants a ticket), what must never be (books that differ from the venue, a position
without cover, an order sent twice), a service that ended without being killed, and a step of the market after which the services did not come to
rest. Each is counted beside the incident that went before it. A kind that no test pins fails the run.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from tests.paper_run.pinned import PINNED


class Anomaly(msgspec.Struct, kw_only=True):
    """One kind: how often, when first and last (ns), the text of the first, and behind which incidents."""

    kind: str
    first_ts: int
    text: str
    count: int = 0
    last_ts: int = 0
    behind: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def pinned_by(self) -> str:
        """The test that pins it; empty: none does."""
        return PINNED.get(self.kind, "")


class Anomalies:
    """All kinds met, in the order in which they were first met."""

    def __init__(self) -> None:
        self.met: dict[str, Anomaly] = {}

    def add(self, kind: str, ts: int, text: str, behind: str) -> None:
        """Count one."""
        found = self.met.setdefault(kind, Anomaly(kind=kind, first_ts=ts, text=text))
        found.count += 1
        found.last_ts = ts
        found.behind[behind] += 1

    @property
    def unpinned(self) -> list[Anomaly]:
        """Those that no test pins."""
        return [each for each in self.met.values() if not each.pinned_by]
