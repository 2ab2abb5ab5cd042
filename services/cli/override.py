"""Which words of operators against the weekly regime are in force (`bulkhead risk override --list`)."""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import MacroOverrideChanged, Side
from libs.runtime.adapter import LogEntry


def in_force(log: Sequence[LogEntry]) -> list[MacroOverrideChanged]:
    """What the gate has said last of every instrument and side, where that is in force at the log's end."""
    found: dict[tuple[str, Side], MacroOverrideChanged] = {}
    now = 0
    for entry in log:
        try:
            said = decode_from(entry.subject, entry.payload)
        except BadEvent:
            continue  # `replay` tells it
        now = max(now, said.ts_init)
        if isinstance(said, MacroOverrideChanged):
            found[said.instrument, said.side] = said
    return [each for each in found.values() if each.state == "IN_FORCE" and now < each.valid_until]
