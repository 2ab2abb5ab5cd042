"""What one check found, with the numbers to say so."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from services.risk_gate.case import shown

EXEMPT = "exempt"


class Finding(msgspec.Struct, frozen=True):
    """Passed or not, the value, and the limit it was held against."""

    passed: bool
    value: str
    limit: str


def at_most(value: Decimal | int | None, limit: Decimal | int | None) -> Finding:
    """Equality is allowed; a number that is missing on either side fails."""
    passed = value is not None and limit is not None and value <= limit
    return Finding(passed, shown(value), shown(limit))


def below(value: Decimal | None, limit: Decimal) -> Finding:
    """The limit itself is too much."""
    return Finding(value is not None and value < limit, shown(value), f"less than {shown(limit)}")
