"""Trace ids and spans of events. Ids are derived, never drawn, so every process and every replay names the same span alike."""

from __future__ import annotations

import hashlib


def trace_id_of(correlation_id: str) -> str:
    """The W3C trace id (32 hex characters) of a story."""
    return hashlib.blake2b(correlation_id.encode(), digest_size=16).hexdigest()
