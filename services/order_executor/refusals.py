"""What a refusal of the venue is about: the order, or something that would refuse any order.

Codes and texts are Binance's; other venues have tables of their own (`refusals_kraken`, `refusals_kucoin`). A code alone does not tell
(-2010 and -2011 carry everything from a missing balance to an account that is locked), so the text decides first, where it is one
that the venue is known to use, and the code after it.
"""

from __future__ import annotations

from typing import Literal

from services.order_executor import refusals_kucoin
from services.order_executor.refusals_kraken import is_krakens, kraken_kind_of
from services.order_executor.requests import NEVER_SENT

Kind = Literal[
    "TRANSIENT",
    "KEY",
    "CLOCK",
    "MARKET_CLOSED",
    "FUNDS",
    "DUPLICATE",
    "STOP_WOULD_TRIGGER",
    "WOULD_TAKE",
    "GONE",
    "ORDER",
]
"""TRANSIENT: too much, too early, not now: the same order may be taken later. KEY: what our key or account may not do, and
a signature that is wrong: a person has to look. CLOCK: our time stamp; it is measured anew. MARKET_CLOSED: the venue does
not trade this instrument now. FUNDS: the balance is not there, or is locked in other orders. DUPLICATE: an open order has this client id.
STOP_WOULD_TRIGGER: the market is beyond the stop already. WOULD_TAKE: it is beyond a maker's price, or a pair's prices do
not embrace it. GONE: what was to be taken back is not open. ORDER: the order itself, as far as we know."""

TRANSIENT_CODES = (
    NEVER_SENT,
    "-1000",
    "-1001",
    "-1003",
    "-1006",
    "-1007",
    "-1008",
    "-1015",
    "-1016",
    "-1034",
    "HTTP_403",
    "HTTP_418",
    "HTTP_429",
    "HTTP_451",
)
"""Never sent, the venue is unwell (-1000, -1001, -1006, -1007, -1008, -1016), or we ask for too much (-1003, -1015, -1034)."""

KEY_CODES = ("-1002", "-1022", "-2014", "-2015", "-2017")
"""Not authorized; a wrong signature; no key; an unknown or revoked one, a foreign address, a missing permission; a locked one."""

CLOCK_CODES = ("-1021",)
"""The time stamp is ahead of the venue's clock, or older than the receive window."""

MARKET_CLOSED_CODES = ("-1121", "-2016")
"""The symbol is not (or no longer) listed, or has no trading window."""

DEFAULTS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (TRANSIENT_CODES, "TRANSIENT"),
    (KEY_CODES, "KEY"),
    (CLOCK_CODES, "CLOCK"),
    (MARKET_CLOSED_CODES, "MARKET_CLOSED"),
)

SPEAKING_CODES = ("-1013", "-2010", "-2011")
"""Codes whose text says what they are about."""

TEXTS: tuple[tuple[str, Kind], ...] = (
    ("market is closed", "MARKET_CLOSED"),
    ("trading is disabled", "MARKET_CLOSED"),
    ("duplicate order sent", "DUPLICATE"),
    ("insufficient balance", "FUNDS"),
    ("would trigger immediately", "STOP_WOULD_TRIGGER"),
    ("immediately match and take", "WOULD_TAKE"),
    ("unknown order", "GONE"),
    ("relationship of the prices", "WOULD_TAKE"),
    ("action is disabled on this account", "KEY"),
    ("account may not place or cancel orders", "KEY"),
    ("not permitted for this account", "KEY"),
    ("restricted for this account", "KEY"),
    ("trading is not enabled", "KEY"),
)
"""Parts of the venue's texts, in small letters."""


def kind_of(code: str, detail: str) -> Kind:
    """What the refusal `code` with the venue's text `detail` is about; anything unknown is about the ORDER."""
    if is_krakens(code):
        return kraken_kind_of(code)
    if code in SPEAKING_CODES:
        said = detail.lower()
        for text, kind in TEXTS:
            if text in said:
                return kind
    known = next((kind for codes, kind in DEFAULTS if code in codes), None)
    return known or refusals_kucoin.kind_of(code, detail) or "ORDER"
