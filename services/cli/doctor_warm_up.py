"""Whether the venue has as much history as the slowest indicator needs: what is missing is minutes, hours or weeks of silence."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from libs.common.timeframe import MILLISECOND, STEP
from libs.trading.binance_ccxt import ccxt_config
from libs.trading.indicators import EMA_READY_SPANS, WILDER_READY_PERIODS
from libs.trading.public_ccxt import kraken_config, kucoin_config
from services.cli.doctor import Finding
from services.cli.doctor_venue import is_local
from services.cli.observer import somebody_listens

ASK_S_MAX = 15.0
PAGE = 500
"""Venues give so many bars at once; the feed asks for more in pages, a look does not."""


class Need(msgspec.Struct, frozen=True):
    """Somebody needs so many closed bars of a timeframe before it has an opinion."""

    who: str
    timeframe: str
    bars: int


def needs_of(loaded: dict[str, Any]) -> list[Need]:
    """What each service needs, of those whose settings are known."""
    found = []
    if trend := loaded.get("agent-trend"):
        bars = max(EMA_READY_SPANS * trend.trend_ema_slow_span, WILDER_READY_PERIODS * trend.trend_wilder_n)
        found += [Need("agent-trend", timeframe, bars) for timeframe in trend.trend_timeframes]
    if macro := loaded.get("agent-macro"):
        found.append(Need("agent-macro", "1w", macro.macro_weeks_min))
    if gate := loaded.get("risk-gate"):
        found.append(Need("risk-gate", gate.risk_correlation_timeframe, gate.risk_correlation_bars_min))
    return found


async def check_warm_up(loaded: dict[str, Any]) -> Finding:
    """Every instrument has the history that everybody needs, and the feed asks for that much of it."""
    feed, needs = loaded["market-feed"], needs_of(loaded)
    short = [
        f"{each.who} needs {each.bars} bars of {each.timeframe}, the feed publishes {feed.history_bars(each.timeframe)}"
        for each in needs
        if each.bars > feed.history_bars(each.timeframe)
    ]
    if short:
        cure = "raise BULKHEAD_FEED_HISTORY_BARS (or _WEEKS)"
        return Finding("warm-up", "WARN", "; ".join(short), cure)
    if is_local(feed.feed_venue_url) and not await somebody_listens(feed.feed_venue_url):
        return Finding(
            "warm-up", "OK", "the feed asks for enough; the venue does not run, so nobody can say if it has it"
        )
    from ccxt import BaseError  # here, because it costs half a second, and every command imports this module

    try:
        async with asyncio.timeout(ASK_S_MAX):
            short = await _missing(feed, needs)
    except (BaseError, TimeoutError, OSError) as error:
        text = f"the venue does not tell its history: {type(error).__name__}"
        return Finding("warm-up", "WARN", text, "look again; is the network well?")
    if short:
        return Finding("warm-up", "WARN", "; ".join(short), "silence until enough bars have closed; nothing else to do")
    return Finding(
        "warm-up",
        "OK",
        f"history for {len({each.who for each in needs})} services and {len(feed.instruments)} instruments",
    )


async def _missing(feed: Any, needs: list[Need]) -> list[str]:
    exchange = client_of(feed)
    missing = []
    try:
        now_ms = await exchange.fetch_time()  # the venue's: a simulated one lives in another year
        for need in needs:
            for instrument in feed.instruments:
                wanted = min(need.bars, PAGE)
                symbol = instrument.replace("-", "/")
                since = now_ms - (wanted + 1) * STEP[need.timeframe] // MILLISECOND
                bars = await exchange.fetch_ohlcv(symbol, need.timeframe, since=since, limit=wanted + 1)
                if len(bars) < wanted:
                    told = f"{len(bars)} bars of {need.timeframe}"
                    missing.append(f"{instrument}: {told}, {need.who} needs {need.bars}")
    finally:
        await exchange.close()
    return missing


def client_of(feed: Any) -> Any:
    """An unmodified ccxt client of the venue whose prices count."""
    from ccxt import async_support as ccxt

    match feed.home_venue:
        case "kraken":
            return ccxt.kraken(kraken_config(feed.url))
        case "kucoin":
            return ccxt.kucoin(kucoin_config(feed.url))
    return ccxt.binance(ccxt_config(feed.url))
