"""What the two processes of a load step tell each other."""

from __future__ import annotations

import msgspec

from benchmarks.load.event_path import VenueTime

MEASURING = "MEASURING"
"""The line that says that the window begins."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """To Locust's process: where everything is, and for how long."""

    home: str
    nats_url: str
    sim_url: str
    api_url: str
    api_token: str
    time: VenueTime
    instruments: tuple[str, ...]
    price_age_ms_max: int
    warm_up_s: float
    seconds: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of Locust's statistics; percentiles and the most in milliseconds, as coarse as Locust keeps them."""

    group: str
    name: str
    samples: int
    failures: int
    p50: int
    p95: int
    p99: int
    most: int


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """From Locust's process: what its users saw in the window.

    `stale_share` is the part of all instruments' time in which the log's price was older than the gate's limit, `stale_instruments` how many that
    concerned; `denied` counts the reasons of refusals.
    """

    seconds: float
    messages: int
    stale_share: float
    stale_instruments: int
    feed_states: list[str]
    denied: dict[str, int]
    rows: list[Row]
    errors: list[str]
