"""Binance market frames to measure with: as they were recorded, or made up where there is no recording."""

from __future__ import annotations

import gzip
import heapq
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
STREAMS = tuple(f"{name.replace('-', '').lower()}@{kind}" for name in INSTRUMENTS for kind in ("trade", "bookTicker"))
RECORDED = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[2] / "shared" / "data")) / "binance_spot_raw"


class MarketFrame(NamedTuple):
    """One frame, as it goes over the wire."""

    stream: str
    text: bytes


class _Line(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


_line = msgspec.json.Decoder(_Line)


def market_frames(count: int) -> tuple[str, list[MarketFrame]]:
    """Where they come from, and the first `count` frames of all streams, in the order of their recording."""
    if not RECORDED.is_dir():
        return "generated", list(_generated(count))
    symbols = {stream.partition("@")[0] for stream in STREAMS}
    merged = heapq.merge(*(_recorded(symbol) for symbol in sorted(symbols)))
    return "recorded", [frame for (_, frame), _ in zip(merged, range(count), strict=False)]


def _recorded(symbol: str) -> Iterator[tuple[int, MarketFrame]]:
    for path in sorted(RECORDED.glob(f"{symbol}_*.gz")):
        with gzip.open(path, "rb") as lines:
            for line in lines:
                received, _, text = line.partition(b" ")
                said = _line.decode(text)
                if said.stream in STREAMS:
                    yield int(received), MarketFrame(said.stream, bytes(said.data))


def _generated(count: int) -> Iterator[MarketFrame]:
    """Of the recorded ones' size and mixture: four quotes to a trade."""
    chance = random.Random(7)  # noqa: S311  (a market, not a secret)
    px = {"btcusdt": 6_000_000, "ethusdt": 300_000}
    for number in range(count):
        symbol = chance.choice(list(px))
        px[symbol] += chance.randint(-3, 3)
        cents, qty = px[symbol], chance.randint(1, 10**7)
        if number % 5:
            text = (
                f'{{"u":{50_000_000_000 + number},"s":"{symbol.upper()}","b":"{_text(cents)}","B":"{_text(qty)}",'
                f'"a":"{_text(cents + 1)}","A":"{_text(qty + 7)}"}}'
            )
            yield MarketFrame(f"{symbol}@bookTicker", text.encode())
        else:
            ms = 1_723_161_255_000 + number
            text = (
                f'{{"e":"trade","E":{ms},"s":"{symbol.upper()}","t":{3_700_000_000 + number},"p":"{_text(cents)}",'
                f'"q":"{_text(qty)}","T":{ms},"m":{"true" if number % 2 else "false"},"M":true}}'
            )
            yield MarketFrame(f"{symbol}@trade", text.encode())


def _text(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}000000"
