"""At how many instruments it breaks: doubling until it does, then halving the doubt. And what counts as broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

STALE_SHARE_MAX = 0.01
"""So much of all instruments' time may have a price in the log that is older than the gate's limit."""
LAG_MESSAGES_MAX = 50
"""A service that was so many messages behind the log in the middle of the window and again at its end does not keep up."""
DOUBT = 0.15
"""Found once the numbers that held and broke are no farther apart than this share of the one that broke: a finer answer would be noise."""


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What of a step can say that it broke. `lags` are, for each service, messages behind the log at the middle and at the end."""

    stale_share: float
    feed_states: tuple[str, ...]
    lags: dict[str, tuple[int, int]]
    restarts: dict[str, int]


def faults_of(signs: Signs) -> list[str]:
    """Why the step counts as broken; empty: it held."""
    found = []
    if signs.stale_share > STALE_SHARE_MAX:
        found.append(f"prices were stale {signs.stale_share:.1%} of the time")
    if signs.feed_states:
        found.append(f"the feed was {', '.join(sorted(set(signs.feed_states)))}")
    found += [
        f"{name} falls behind: {half}, then {end} messages"
        for name, (half, end) in signs.lags.items()
        if half > LAG_MESSAGES_MAX and end > max(half, LAG_MESSAGES_MAX)
    ]
    found += [f"{name} was started again" for name, times in signs.restarts.items() if times]
    return found


class Found(msgspec.Struct, frozen=True):
    """The most instruments that held, and the fewest that broke; None: none did, or none was tried."""

    held: int | None
    broke: int | None


async def breaking_point(tried: dict[int, bool], limit: int, breaks: Callable[[int], Awaitable[bool]]) -> Found:
    """Go on from what was tried already (count: did it break?) until the doubt is small, with at most `limit` instruments."""
    known = dict(tried)
    while True:
        broke = min((count for count, is_broken in known.items() if is_broken), default=None)
        held = max(
            (count for count, is_broken in known.items() if not is_broken and count < (broke or limit + 1)),
            default=None,
        )
        if broke is None:
            count = min(limit, 2 * (held or 5))
            if held is not None and held >= limit:
                return Found(held, None)
        else:
            count = ((held or 0) + broke) // 2
            if broke - (held or 0) <= max(1, round(broke * DOUBT)):
                return Found(held, broke)
        known[count] = await breaks(count)
