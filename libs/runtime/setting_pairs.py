"""The rules over words: settings of different services that must say the same, or must not be said together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from libs.common.timeframe import MILLISECOND, STEP


def _never(values: Mapping[str, Any]) -> bool:
    return False


class Match(msgspec.Struct, frozen=True):
    """`agree` is asked with the values of `variables`, all of them known, `unless` everything that is known makes an exception."""

    level: Literal["danger", "question"]
    variables: tuple[str, ...]
    agree: Callable[..., bool]
    why: str
    unless: Callable[[Mapping[str, Any]], bool] = _never


def _same_venue(one: str, other: str) -> bool:
    return not one or not other or one == other


def _is_home(venues: str, venue: str) -> bool:
    return _same_venue(venues.split(",")[0].strip(), venue)


def _both_real_or_neither(one: str, other: str) -> bool:
    """A real venue is only ever spoken to by https, a simulated one never."""
    return one.startswith("https:") == other.startswith("https:")


REAL_MARKETS = frozenset(
    f"https://{host}" for host in ("data-api.binance.vision", *(f"{name}.binance.com" for name in
    ("api", "api1", "api2", "api3", "api4", "api-gcp")))
)  # fmt: skip
"""Binance's own prices, whichever of its hosts tells them; a test net's are others."""


def _one_market(feed_url: str, venue_url: str, venue: str) -> bool:
    """Orders with money in them meet the market that is decided on: the same root, or the real market behind both.

    Kraken and KuCoin have roots of their own, which are the feed's too where it reads the real ones.
    """
    if not venue_url.startswith("https:") or not feed_url.startswith("https:"):
        return True
    feed, orders = feed_url.rstrip("/"), venue_url.rstrip("/")
    return feed == orders or (feed in REAL_MARKETS and (orders in REAL_MARKETS or venue not in ("", "binance")))


def _real_in_real_time(venue_url: str, clock_url: str) -> bool:
    return not (venue_url.startswith("https:") and clock_url)


def _follows_a_market(values: Mapping[str, Any]) -> bool:
    """A paper venue that follows a live market stands between real prices and orders."""
    return bool(values.get("BULKHEAD_SIM_FOLLOW_URL"))


def _same_market(follow_url: str, feed_url: str) -> bool:
    return not follow_url or follow_url.rstrip("/") == feed_url.rstrip("/")


def _not_both(one: str, other: str) -> bool:
    return not (one and other)


def _on_paper(follow_url: str, venue_url: str) -> bool:
    return not (follow_url and venue_url.startswith("https:"))


def _follows_binance(follow_url: str, venue: str) -> bool:
    return not follow_url or venue in ("", "binance")


def _within_a_bar(age_ms: Decimal, timeframes: str) -> bool:
    bar = STEP.get(timeframes.split(",")[0].strip())
    return bar is None or age_ms * MILLISECOND <= bar


_FOREIGN = "nothing would ever be bought: the gate opens no position at another venue's prices"

MATCHES = (
    Match("danger", ("BULKHEAD_RISK_VENUE", "BULKHEAD_EXEC_VENUE"), _same_venue, _FOREIGN),
    Match("danger", ("BULKHEAD_FEED_VENUES", "BULKHEAD_EXEC_VENUE"), _is_home, _FOREIGN),
    Match("danger", ("BULKHEAD_FEED_VENUES", "BULKHEAD_RISK_VENUE"), _is_home, _FOREIGN),
    Match(
        "danger",
        ("BULKHEAD_FEED_VENUE_URL", "BULKHEAD_EXEC_VENUE_URL"),
        _both_real_or_neither,
        "prices of one world would move orders in another: both real (https) or both simulated",
        _follows_a_market,
    ),
    Match(
        "danger",
        ("BULKHEAD_FEED_VENUE_URL", "BULKHEAD_EXEC_VENUE_URL", "BULKHEAD_EXEC_VENUE"),
        _one_market,
        "prices of one market would move orders in another (a test net's prices are not the real ones): both of the same",
    ),
    Match(
        "danger",
        ("BULKHEAD_SIM_FOLLOW_URL", "BULKHEAD_FEED_VENUE_URL"),
        _same_market,
        "the paper venue would fill at other prices than those that are decided on: both the same venue",
    ),
    Match(
        "danger",
        ("BULKHEAD_SIM_FOLLOW_URL", "BULKHEAD_EXEC_VENUE_URL"),
        _on_paper,
        "on paper, orders go to the paper venue and to no real one",
    ),
    Match(
        "danger",
        ("BULKHEAD_SIM_FOLLOW_URL", "BULKHEAD_EXEC_VENUE"),
        _follows_binance,
        "the paper venue follows Binance's market and no other",
    ),
    Match(
        "danger",
        ("BULKHEAD_SIM_FOLLOW_URL", "BULKHEAD_CLOCK_URL"),
        _not_both,
        "a live market is followed in real time, not by a simulated clock",
    ),
    Match(
        "danger",
        ("BULKHEAD_EXEC_VENUE_URL", "BULKHEAD_CLOCK_URL"),
        _real_in_real_time,
        "a real venue lives in real time, not by a simulated clock",
    ),
    Match(
        "question",
        ("BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX", "BULKHEAD_TREND_TIMEFRAMES"),
        _within_a_bar,
        "a signal would outlive the bar that it was formed on",
    ),
)
"""What must agree with what."""
