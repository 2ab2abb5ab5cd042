"""Market messages as a feed would publish them, for tests of what records and replays them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random

from libs.common.codec import encode
from libs.common.ids import derive_id
from libs.common.messages import Message, QuoteChanged, TradePrinted
from libs.common.subjects import subject_of
from libs.common.timeframe import MILLISECOND, SECOND
from tests.nats_stack import User

NOON = 1_767_614_400 * SECOND
"""2026-01-05 12:00 UTC."""
MIDNIGHT = NOON + 43_200 * SECOND
INSTRUMENTS = ("BTC-USDT", "ETH-USDT")

Published = tuple[str, bytes]
"""A subject and what stands on it."""


def trade(number: int, ts: int, instrument: str = "BTC-USDT", px: float = 60_000.01, **fields: object) -> TradePrinted:
    """One print, received 3 ms after it happened."""
    told = {"venue": "binance", "qty": 0.5, "aggressor_side": "SELL", "ts_init": ts + 3 * MILLISECOND}
    told |= {"trade_id": str(number), **fields}
    return TradePrinted(
        id=derive_id("trade", str(told["venue"]), instrument, number),
        producer="market",
        ts_event=ts,
        instrument=instrument,
        px=px,
        **told,  # type: ignore[arg-type]
    )


def quote(ts: int, instrument: str = "BTC-USDT", bid_px: float = 60_000.0, **fields: object) -> QuoteChanged:
    """One change of the best bid and offer; like Binance's, it knows only when it was received."""
    told = {"venue": "binance", "bid_qty": 1.25, "ask_px": bid_px + 0.01, "ask_qty": 2.5, "ts_init": ts, **fields}
    return QuoteChanged(
        id=derive_id("quote", instrument, ts),
        producer="market",
        ts_event=ts,
        instrument=instrument,
        bid_px=bid_px,
        **told,  # type: ignore[arg-type]
    )


def tape(count: int, seed: int = 7, begins: int = MIDNIGHT - 20 * SECOND) -> list[Message]:
    """`count` trades and quotes of two instruments, 40 ms apart."""
    draw, found, number = Random(seed), [], 0
    for place in range(count):
        ts, instrument = begins + place * 40 * MILLISECOND, INSTRUMENTS[place % 2]
        px = round(60_000 / (1 + place % 2) + draw.uniform(-5, 5), 2)
        if place % 3:
            found.append(quote(ts, instrument, px, ask_px=round(px + 0.01, 2), bid_qty=round(draw.random(), 5)))
        else:
            number += 1
            found.append(trade(number, ts, instrument, px, qty=round(draw.uniform(0.001, 2), 5)))
    return found


def published(messages: Iterable[Message]) -> list[Published]:
    """Messages as they stand in the stream."""
    return [(subject_of(message), encode(message)) for message in messages]


def odd_ones(ts: int = NOON) -> list[Published]:
    """What a recorder of today cannot read, and must keep."""
    newer = {"type": "print_rejected.v9", "ts_event": ts, "ts_init": ts, "reason": "FAR_OFF", "px": 1.5}
    return [
        ("market.rejected.binance.BTC-USDT", json.dumps(newer).encode()),
        ("market.trade.binance.BTC-USDT", b"\xff\xfe not even text"),
        ("market.trade.binance.ETH-USDT", encode(trade(1, ts))),
        ("market.trade.binance.BTC-USDT", b""),
    ]


async def publish(feed: User, found: Iterable[Published]) -> None:
    """Put them into MARKET, in order; returns when the server has them."""
    for subject, payload in found:
        await feed.client.publish(subject, payload)
    await feed.client.flush()
