"""KuCoin's codes and words, as kinds of refusals. Codes are six digits (or an HTTP status); none of them is another venue's.

KuCoin's documentation lists few of the codes it uses; the others are from its changelogs, from ccxt's table, or from memory. What is
not here is about the ORDER, as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.order_executor.refusals import Kind

UNDECIDED = ("500", "503", "408000", "500000")
"""KuCoin is unwell, or does not know itself: the order may exist."""

CODES: tuple[tuple[tuple[str, ...], Kind], ...] = (
    ((*UNDECIDED, "429", "429000", "200002", "200003"), "TRANSIENT"),
    (("400002",), "CLOCK"),
    (("400001", "400003", "400004", "400005", "400006", "400007"), "KEY"),
    (("112010", "200009", "400200", "400303", "400500", "400700", "411100"), "KEY"),
    (("200001", "400600", "900001"), "MARKET_CLOSED"),
    (("102421", "200004", "230003", "260100"), "FUNDS"),
    (("102426", "126033", "126044"), "DUPLICATE"),
)
"""TRANSIENT: too many requests, cancels suspended, too many orders. KEY: header, key, passphrase, signature, address, right; an
account that may not trade (identity, country, risk, frozen). MARKET_CLOSED: suspended, not available, not listed."""

SPEAKING_CODES = ("300000", "400100", "600100", "600101")
"""Codes whose text says what they are about."""

TEXTS: tuple[tuple[str, Kind], ...] = (
    ("duplicate", "DUPLICATE"),
    ("insufficient", "FUNDS"),
    ("would trigger", "STOP_WOULD_TRIGGER"),
    ("immediately match", "WOULD_TAKE"),
    ("suspended", "MARKET_CLOSED"),
    ("not available", "MARKET_CLOSED"),
    ("unsupported trading pair", "MARKET_CLOSED"),
)
"""Parts of KuCoin's texts, in small letters."""


def kind_of(code: str, detail: str) -> Kind | None:
    """What a refusal of KuCoin's is about; None if the code is none of its known ones."""
    if code in SPEAKING_CODES:
        said = detail.lower()
        return next((kind for text, kind in TEXTS if text in said), None)
    return next((kind for codes, kind in CODES if code in codes), None)
