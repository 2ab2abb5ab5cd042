"""Whether a service can do its work now, and where it stands in the log."""

from __future__ import annotations

import msgspec

STANDING_BY = "standby: another instance holds the lease"
"""What an instance says that could go on at once if the holder ended. It has reached the bus: otherwise it would not know."""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a probe.

    `reasons` says in words why not, when not `ready`. `quiescent` is true when everything read has been decided, appended and
    answered: a lock-step venue may make its next step.
    """

    ready: bool
    reasons: list[str] = []
    processed_seq: int = 0
    lag: int = 0
    outbox: int = 0
    pending_requests: int = 0
    quiescent: bool = False
    code_version: str = ""

    @property
    def stands_by(self) -> bool:
        """Whether it would do its work at once if another instance ended: up, let in by the bus, and waiting for the lease."""
        return any(STANDING_BY in reason for reason in self.reasons)
