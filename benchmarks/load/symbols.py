"""What the generated instruments of a load step are called."""

from __future__ import annotations

KNOWN = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT")
"""Those the venue has rules of their own for; all others get its plain set."""
SYMBOLS_MAX = 100
"""As many as a book may have (BULKHEAD_INSTRUMENTS)."""


def instruments_of(count: int) -> tuple[str, ...]:
    """So many instruments. Those of a smaller count are the first of those of a larger one, so that steps are comparable.

    Raises:
        ValueError: there are no names for so many.
    """
    if not 1 <= count <= SYMBOLS_MAX:
        raise ValueError(f"want 1 to {SYMBOLS_MAX} instruments, not {count}")
    made = (f"S{number:03d}-USDT" for number in range(len(KNOWN) + 1, count + 1))
    return (*KNOWN, *made)[:count]
