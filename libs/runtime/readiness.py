"""Whether a service can do its work now, and where it stands in the log."""

from __future__ import annotations

import msgspec


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
