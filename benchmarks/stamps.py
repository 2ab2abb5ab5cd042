"""The time stamps of nats-server, which is the one clock that both ends of a latency have in common."""

from __future__ import annotations

from datetime import datetime


def nanoseconds(stamp: str) -> int:
    """A server's time stamp (RFC 3339, UTC), to the last digit."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0"))
