"""The live market as seen from here: said at the start, and again when it answers after it did not; and the paper venue's own word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import msgspec

POLL_S = 10.0
ASK_S_MAX = 5.0


class _State(msgspec.Struct):
    """What we need of /sim/state, or of the answer of a paper venue that waits for its market."""

    market: dict[str, str] = {}
    speed: float = 0.0
    out_of_sight: list[str] = []
    msg: str = ""


async def tell_of_market(url: str, say: Callable[[str, str], None], orders: str) -> None:
    """Say what is traded and where `orders` go; while it does not answer, that no prices can be had and what to do. Returns once it answers."""
    told = ""
    async with _session() as session:
        while trouble := await _trouble_at(session, f"{url}/api/v3/ping"):
            if trouble != told:
                told = trouble
                say(_no_prices(url, trouble), "bold yellow")
            await asyncio.sleep(POLL_S)
    say(f"the live market of {url} answers; {orders}", "green")


def _no_prices(url: str, trouble: str) -> str:
    return (
        f"NO PRICES: {url} does not answer ({trouble}). Nothing is bought and nothing fills until it does; then it goes on by itself.\n"
        "what to do: look at network, DNS and firewall (451 or 403: it does not serve your country);"
        " without network trade a simulated market: `bulkhead up --mode sim` with a state folder of its own (--home)"
    )


async def _trouble_at(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(url) as answer:
            return "" if answer.status == 200 else f"HTTP {answer.status}"
    except TimeoutError:
        return f"nothing within {ASK_S_MAX:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"{type(error).__name__}: {error}"[:200]


async def venue_line(mode: str, venue_url: str, market_url: str) -> tuple[str, str]:
    """Which market is traded where, in words, and what is wrong with it (empty: nothing)."""
    if not venue_url:
        return "", ""
    if mode == "live":
        return f"LIVE: the market of {market_url} in wall time, real orders at {venue_url}", ""
    async with _session() as session:
        state, trouble = await _state_of(session, venue_url)
    if mode != "paper":
        speed = f", {state.speed:g} times as fast as wall time" if state.speed else ""
        return f"{mode}: {state.market.get('market', 'a simulated')} market at {venue_url}{speed}", trouble
    if not trouble and state.out_of_sight:
        trouble = f"it does not see {', '.join(state.out_of_sight)}: nothing fills there"
    return f"paper: the live market of {market_url} in wall time, orders at the paper venue {venue_url}", trouble


async def _state_of(session: aiohttp.ClientSession, venue_url: str) -> tuple[_State, str]:
    try:
        async with session.get(f"{venue_url}/sim/state") as answer:
            state = msgspec.json.decode(await answer.read(), type=_State)
            return state, state.msg or ("" if answer.status == 200 else f"it answers HTTP {answer.status}")
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
        return _State(), f"it does not answer: {type(error).__name__}"


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_S_MAX), trust_env=False)
