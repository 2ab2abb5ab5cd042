"""Scripted faults of POST order: each strikes a given number of times, in the order they were asked for."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

FaultKind = Literal["timeout_after_accept", "reset_after_accept", "reset_before_accept", "http_503", "reject"]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong, where, and how often."""

    kind: FaultKind
    on: Literal["order"] = "order"
    times: int = 1


class FaultScript:
    """The faults still to strike."""

    def __init__(self) -> None:
        self._pending: deque[FaultKind] = deque()

    def add(self, fault: Fault) -> None:
        """Append `fault` to the script."""
        self._pending.extend([fault.kind] * max(0, fault.times))

    def take(self) -> FaultKind | None:
        """The fault that strikes now, if any."""
        return self._pending.popleft() if self._pending else None

    def pending(self) -> list[FaultKind]:
        """What is still to come, next first."""
        return list(self._pending)
