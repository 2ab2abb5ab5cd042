"""What a reader must make of Binance's frames, written down a second time with json and float alone, and frames nobody may believe."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from libs.common.messages import QuoteChanged, TradePrinted
from services.market_feed.adapters.reader import Link

INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
BTC, ETH = INSTRUMENTS
STREAMS = ("btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade", "ethusdt@bookTicker")
VENUE = "binance"
MS = 1_767_571_200_000
NOW = MS * 1_000_000 + 10**15
"""The reader's clock stands here, after everything a venue stamps: so two readers must give the same events to the last field."""


def told(text: str) -> TradePrinted | QuoteChanged:
    """The event in a frame that can be believed."""
    said = json.loads(text)
    instrument = {name.replace("-", ""): name for name in INSTRUMENTS}[said["s"]]
    common = {"producer": "market", "venue": VENUE, "instrument": instrument, "ts_init": NOW}
    if said.get("e") == "trade":
        return TradePrinted(
            **common,
            id=f"{VENUE}.{instrument}.t{said['t']}",
            ts_event=said["T"] * 1_000_000,
            trade_id=str(said["t"]),
            px=float(said["p"]),
            qty=float(said["q"]),
            aggressor_side="SELL" if said["m"] else "BUY",
        )
    return QuoteChanged(
        **common,
        id=f"{VENUE}.{instrument}.q{said['u']}",
        ts_event=NOW,
        bid_px=float(said["b"]),
        bid_qty=float(said["B"]),
        ask_px=float(said["a"]),
        ask_qty=float(said["A"]),
    )


class Heard:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.trades: list[TradePrinted] = []
        self.quotes: list[QuoteChanged] = []
        self.refusals: list[tuple[str, str, str]] = []
        self.epochs: list[int] = []

    def trade(self, trade: TradePrinted) -> None:
        """See the port."""
        self.trades.append(trade)

    def quote(self, quote: QuoteChanged) -> None:
        """See the port."""
        self.quotes.append(quote)

    def refused(self, reason: str, instrument: str, frame: str) -> None:
        """See the port."""
        self.refusals.append((reason, instrument, frame))

    def connected(self, link: Link) -> None:
        """See the port."""
        self.epochs.append(link.epoch)

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """Why frames were refused, and whose they were."""
        return [(reason, instrument) for reason, instrument, _ in self.refusals]


def trade(number: int = 1, symbol: str = "BTCUSDT", **changed: Any) -> str:
    """A trade frame; `changed` fields that are None are missing."""
    frame = {
        "e": "trade",
        "E": MS + 1,
        "s": symbol,
        "t": number,
        "p": "61837.63000000",
        "q": "0.02000000",
        "T": MS,
        "m": True,
        "M": True,
    }
    return _text(frame, changed)


def quote(number: int = 1, symbol: str = "BTCUSDT", **changed: Any) -> str:
    """A book ticker frame; `changed` fields that are None are missing."""
    frame = {"u": number, "s": symbol, "b": "61837.63", "B": "3.78826000", "a": "61837.64", "A": "1.54698000"}
    return _text(frame, changed)


def _text(frame: dict[str, Any], changed: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in {**frame, **changed}.items() if value is not None})


class Bad(NamedTuple):
    """A frame nobody may believe: why not, and whose it is."""

    name: str
    frame: str | bytes
    reason: str
    instrument: str = ""


NO_NUMBERS = ("NaN", "nan", "Infinity", "-inf", "1e999", "", "abc", "0x10", "-1.5", "0", "0.00000000", "-0", "1,5")


def bad_frames() -> list[Bad]:
    """The matrix."""
    good = trade()
    return [
        Bad("truncated trade", good[:60], "UNREADABLE"),
        Bad("truncated quote", quote()[:-1], "UNREADABLE"),
        Bad("two frames in one", good + good, "UNREADABLE"),
        Bad("list", "[]", "NO_OBJECT"),
        Bad("list of frames", f"[{good}]", "NO_OBJECT"),
        Bad("null", "null", "NO_OBJECT"),
        Bad("number", "17", "NO_OBJECT"),
        Bad("string", '"hello"', "NO_OBJECT"),
        Bad("true", "true", "NO_OBJECT"),
        Bad("nothing", "", "UNREADABLE"),
        Bad("plain text", "upgrade in progress", "UNREADABLE"),
        Bad("html", "<html><body>502 Bad Gateway</body></html>", "UNREADABLE"),
        Bad("NaN without quotes", good.replace('"61837.63000000"', "NaN"), "UNREADABLE"),
        Bad("deep", "[" * 50_000, "TOO_BIG"),
        Bad("deep and small", "[" * 5_000, "UNREADABLE"),
        Bad("deep in a trade", good[:-1] + ', "x": ' + "[" * 5_000 + "]" * 5_000 + "}", "UNREADABLE"),
        Bad("oversized", json.dumps({"x": "y" * 100_000}), "TOO_BIG"),
        Bad("empty object", "{}", "UNKNOWN_FRAME"),
        Bad("another event", trade(e="aggTrade"), "UNKNOWN_FRAME"),
        Bad("answer to nothing", '{"result": null, "id": 999}', "UNKNOWN_FRAME"),
        Bad("refusal of nothing", '{"error": {"code": 500, "msg": "no"}, "id": 999}', "UNKNOWN_FRAME"),
        Bad("trade in a wrapper", f'{{"stream": "btcusdt@trade", "data": {good}}}', "UNKNOWN_FRAME"),
        Bad("binary", b"\x00\x01\x02\xff", "NOT_TEXT"),
        Bad("trade in a binary frame", good.encode(), "NOT_TEXT"),
        Bad("unknown symbol", trade(symbol="DOGEUSDT"), "WRONG_SYMBOL"),
        Bad("lower case symbol", quote(symbol="btcusdt"), "WRONG_SYMBOL"),
        Bad("symbol that is none", trade(s=17), "WRONG_SYMBOL"),
        Bad("symbol that is a list", quote(s=["BTCUSDT"]), "WRONG_SYMBOL"),
        Bad("no symbol", trade(s=None), "WRONG_SYMBOL"),
        Bad("no trade id", trade(t=None), "BAD_ID", BTC),
        Bad("negative trade id", trade(-5), "BAD_ID", BTC),
        Bad("trade id of 21 digits", trade(10**20), "BAD_ID", BTC),
        Bad("trade id with a fraction", trade(t=1.5), "BAD_ID", BTC),
        Bad("no time", trade(T=None), "BAD_TIME", BTC),
        Bad("time in seconds", trade(T=MS // 1000), "BAD_TIME", BTC),
        Bad("time that is text", trade(T="yesterday"), "BAD_TIME", BTC),
        Bad("no price", trade(p=None), "BAD_PRICE", BTC),
        Bad("price that is true", trade(p=True), "BAD_PRICE", BTC),
        Bad("price that is a list", trade(p=["1"]), "BAD_PRICE", BTC),
        Bad("price of 400 digits", trade(p=int("9" * 400)), "BAD_PRICE", BTC),
        Bad("no quantity", trade(q=None), "BAD_QUANTITY", BTC),
        *(Bad(f"price {each!r}", trade(p=each), "BAD_PRICE", BTC) for each in NO_NUMBERS),
        *(Bad(f"quantity {each!r}", trade(q=each), "BAD_QUANTITY", BTC) for each in NO_NUMBERS),
        Bad("no update id", quote(u=None), "BAD_ID", BTC),
        Bad("update id that is text", quote(u="x"), "BAD_ID", BTC),
        Bad("update id zero", quote(0), "BAD_ID", BTC),
        Bad("negative update id", quote(-7), "BAD_ID", BTC),
        *(Bad(f"no {name}", quote(**{name: None}), reason, BTC) for name, reason in _SIDES_OF_A_BOOK),
        *(
            Bad(f"{name} {each!r}", quote(symbol="ETHUSDT", **{name: each}), reason, ETH)
            for name, reason in _SIDES_OF_A_BOOK
            for each in NO_NUMBERS
        ),
        Bad("locked book", quote(b="61837.64"), "CROSSED_BOOK", BTC),
        Bad("crossed book", quote(b="90000.0", a="10.0"), "CROSSED_BOOK", BTC),
    ]


_SIDES_OF_A_BOOK = (("b", "BAD_BID"), ("B", "BAD_BID"), ("a", "BAD_ASK"), ("A", "BAD_ASK"))
