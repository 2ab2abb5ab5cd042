"""What Kraken's refusals are about. Its strings are code and text in one: "E" or "W", a category, a colon, words, perhaps more after another colon.

The first row whose beginning fits decides, so what is special stands before what is general.
"""

from __future__ import annotations

from typing import Literal

KrakenKind = Literal[
    "TRANSIENT", "KEY", "CLOCK", "MARKET_CLOSED", "FUNDS", "DUPLICATE", "STOP_WOULD_TRIGGER", "WOULD_TAKE", "ORDER"
]

ROWS: tuple[tuple[str, KrakenKind], ...] = (
    ("EOrder:Insufficient funds", "FUNDS"),
    ("EOrder:Insufficient margin", "FUNDS"),
    ("EOrder:Insufficient initial margin", "FUNDS"),
    ("EOrder:Duplicate", "DUPLICATE"),
    ("EOrder:Post only order", "WOULD_TAKE"),
    ("EOrder:Rate limit exceeded", "TRANSIENT"),
    ("EOrder:Domain rate limit exceeded", "TRANSIENT"),
    ("EOrder:Orders limit exceeded", "TRANSIENT"),
    ("EOrder:Positions limit exceeded", "TRANSIENT"),
    ("EOrder:Trading agreement required", "KEY"),
    ("EOrder:Invalid permissions", "KEY"),
    ("EService:Market in cancel_only mode", "MARKET_CLOSED"),
    ("EService:Market in post_only mode", "MARKET_CLOSED"),
    ("EService:Market in limit_only mode", "ORDER"),  # a limit order may still be taken: let the ladder try it
    ("EService:Deadline elapsed", "CLOCK"),
    ("EService:", "TRANSIENT"),
    ("EAPI:Invalid nonce", "TRANSIENT"),
    ("EAPI:Rate limit exceeded", "TRANSIENT"),
    ("EAPI:", "KEY"),
    ("EAccount:", "KEY"),
    ("EAuth:", "KEY"),
    ("ESession:", "KEY"),
    ("ETrade:Locked", "KEY"),
    ("ETrade:User Locked", "KEY"),
    ("EGeneral:Permission denied", "KEY"),
    ("EGeneral:Temporary lockout", "TRANSIENT"),
    ("EGeneral:Too many requests", "TRANSIENT"),
    ("EGeneral:Internal error", "TRANSIENT"),
    ("EGeneral:Invalid arguments:deadline", "CLOCK"),
    ("EDatabase:", "TRANSIENT"),
    ("EQuery:Unknown asset pair", "MARKET_CLOSED"),
    ("EQuery:Invalid asset pair", "MARKET_CLOSED"),
)


def is_krakens(code: str) -> bool:
    """Whether `code` is a string of Kraken's: ours and Binance's have no colon in them."""
    return ":" in code and code[0] == "E"


def kraken_kind_of(code: str) -> KrakenKind:
    """What the refusal is about; anything unknown is about the ORDER."""
    return next((kind for beginning, kind in ROWS if code.startswith(beginning)), "ORDER")
