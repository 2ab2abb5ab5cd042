"""Numbers in words: one way to write money, shares, times, and what is not known."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

from libs.trading.track_record import UNKNOWN

SECOND_NS = 1_000_000_000
NOTHING = 1e-12
NEVER = "never, at this ratio"
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def is_known(value: float | Decimal | None) -> bool:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


def number(value: float, scale: float = 1.0) -> str:
    """Four digits that count, without an exponent where it can be helped."""
    if not is_known(value):
        return UNKNOWN
    # what rounding leaves of nothing is nothing
    scaled = value * scale if abs(value) > NOTHING else 0.0
    if abs(scaled) >= 1_000:
        return f"{scaled:,.0f}"
    return f"{scaled:.4g}" if abs(scaled) >= 1e-4 or not scaled else f"{scaled:.2e}"


def percent(share: float) -> str:
    """A share as percent with two digits."""
    return f"{share * 100:.2f} %" if is_known(share) else UNKNOWN


def signed_percent(share: float) -> str:
    """A change as percent, with its sign; none has no sign."""
    if not is_known(share):
        return UNKNOWN
    words = f"{share * 100:+.2f} %"
    return "0.00 %" if words in ("+0.00 %", "-0.00 %") else words


def chance(probability: float) -> str:
    """A probability; nothing is ever quite certain."""
    if not is_known(probability):
        return UNKNOWN
    if probability < 0.001:
        return "below 0.1 %"
    return "above 99.9 %" if probability > 0.999 else f"{probability * 100:.1f} %"


def money(amount: Decimal | float | None) -> str:
    """An amount with two digits and its sign if it is negative."""
    return f"{amount:,.2f}" if amount is not None and is_known(amount) else UNKNOWN


def signed_money(amount: Decimal | float) -> str:
    """A result with its sign; none has no sign."""
    words = f"{amount:+,.2f}" if is_known(amount) else UNKNOWN
    return "0.00" if words in ("+0.00", "-0.00") else words


def price(px: Decimal | float) -> str:
    """A price or a quantity with eight digits that count, without an exponent."""
    if not is_known(px):
        return UNKNOWN
    exact = Decimal(f"{px:.8g}")
    words = f"{exact:,f}"
    return words.rstrip("0").rstrip(".") if "." in words else words


def utc(ts: int) -> str:
    """An instant (ns) as date and minute, UTC."""
    return datetime.fromtimestamp(ts // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M")


def span(length_ns: int) -> str:
    """A length of time in its two largest units."""
    left, words = max(0, length_ns) // SECOND_NS, []
    for size, unit in _SPANS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"


def days(needed: float) -> str:
    """How many days it takes."""
    if needed == math.inf:
        return NEVER
    return f"{math.ceil(needed):,}" if is_known(needed) else UNKNOWN


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 trade`, `2 trades`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
