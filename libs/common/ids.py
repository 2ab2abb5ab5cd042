"""Ids are derived, never drawn: the same cause gives the same id, so a repeat is recognised as one.

Every id is 32 lowercase hex characters (blake2b-128), which is also a valid client order id at Binance and Kraken.
"""

from __future__ import annotations

from hashlib import blake2b

_SIZES = tuple(size.to_bytes(4, "big") for size in range(256))


def derive_id(*parts: str | int) -> str:
    """The id that follows from `parts`; each part is length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    told = b""
    for part in parts:
        raw = (part if type(part) is str else str(part)).encode()
        size = len(raw)
        told += (_SIZES[size] if size < 256 else size.to_bytes(4, "big")) + raw
    return blake2b(told, digest_size=16).hexdigest()


def cl_ord_id_of(intent_id: str, role: str, attempt: int = 0) -> str:
    """The client order id of one order of an intent: the same intent and role can never become two orders."""
    return derive_id("order", intent_id, role, attempt)
