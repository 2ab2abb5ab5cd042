"""Before there is money in it: which checks of `bulkhead doctor` must pass, and what `up` does in live mode while one does not.

Critical is what loses money or cannot be repaired under way. What only makes us blind or silent for a while (history, a model's
server, a port) is told, and stops nothing. The database is critical here alone: once trading, losing it degrades, no more.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.cli.doctor import Finding

CRITICAL = (
    "python",
    "nats-server",
    "home",
    "keys",
    "disk",
    "clock",
    "settings",
    "bus",
    "bus clock",
    "database",
    "credentials",
    "venue",
    "venue key",
    "venue clock",
    "telegram",
)
"""The checks, by name, and every `settings of ...`."""


def is_critical(check: str) -> bool:
    """Whether live trading does not begin while this check fails."""
    return check in CRITICAL or check.startswith("settings of ")


def marked(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings, each saying whether it is critical."""
    return [msgspec.structs.replace(each, critical=is_critical(each.check)) for each in findings]


def what_stands_against_it(findings: Iterable[Finding]) -> list[Finding]:
    """The critical checks that fail."""
    return [each for each in findings if each.level == "FAIL" and is_critical(each.check)]
