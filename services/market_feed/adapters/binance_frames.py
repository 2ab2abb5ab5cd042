"""What Binance says on a market stream, decoded once and told to the sink: `@trade` and `@bookTicker`, bare.

A frame that looks like a trade or a quote by its first key goes to a decoder of exactly its fields, which reads decimal strings
to the very floats of `float()`. Whatever that decoder will not take is read again without haste, to say what is wrong with it,
or because its keys come in another order. The rules are those of frames.py; of our own is only that a book's update id grows.

While one connection takes over from another (binance_reader.py) both tell the same trades and quotes: `take_over` notes how far
the old one came, and up to there the new one is not heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from services.market_feed.adapters.reader import Sink, shown
from services.market_feed.frames import FrameRefused, checked_quote, checked_trade, to_ns

FRAME_BYTES_MAX = 16_384
"""No trade, quote or answer comes near it."""

OLD_QUOTES_MAX = 20
"""So many quotes of one instrument in a row are old: then the one that made them old was the liar."""

NO_TRADE = -1
"""No trade has been told."""

_SIDES = {True: "SELL", False: "BUY"}  # `m`: the buyer was the maker


class _Trade(msgspec.Struct, gc=False, tag_field="e", tag="trade"):
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t")
    px: float = msgspec.field(name="p")
    qty: float = msgspec.field(name="q")
    trade_ms: int = msgspec.field(name="T")
    is_sell: bool | None = msgspec.field(name="m", default=None)


class _Quote(msgspec.Struct, gc=False):
    update_id: int = msgspec.field(name="u")
    symbol: str = msgspec.field(name="s")
    bid_px: float = msgspec.field(name="b")
    bid_qty: float = msgspec.field(name="B")
    ask_px: float = msgspec.field(name="a")
    ask_qty: float = msgspec.field(name="A")


_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode
_decode_quote = msgspec.json.Decoder(_Quote, strict=False).decode
_decode = msgspec.json.Decoder().decode


class _Told:
    """How far one instrument has been told."""

    __slots__ = ("instrument", "old_quotes", "trade_id", "trade_id_over", "update_id", "update_id_over")

    def __init__(self, instrument: str):
        self.instrument = instrument
        self.forget()

    def forget(self) -> None:
        self.trade_id = self.trade_id_over = NO_TRADE
        self.update_id = self.update_id_over = 0
        self.old_quotes = 0


class BinanceFrames:
    """The frames of the connections that carry `instruments`, one after the other."""

    def __init__(
        self,
        venue: str,
        instruments: tuple[str, ...],
        sink: Sink,
        *,
        on_answer: Callable[[dict[str, Any]], bool],
        on_leaving: Callable[[], None],
        on_liar: Callable[[str], None],
    ):
        self.heard = 0
        self._venue = venue
        self._told = {symbol_of(instrument): _Told(instrument) for instrument in instruments}
        self._trade = sink.trade
        self._quote = sink.quote
        self._refused = sink.refused
        self._on_answer = on_answer
        self._on_leaving = on_leaving
        self._on_liar = on_liar

    def take(self, frame: bytes, now: int) -> None:
        """Tell what is in a text frame. Nothing in it can raise."""
        first = frame[2:3]
        try:
            if first == b"u":
                self._take_quote(_decode_quote(frame), frame, now)
            elif first == b"e":
                self._take_trade(_decode_trade(frame), frame, now)
            else:
                self._take_slowly(frame, now)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._take_slowly(frame, now)

    def refuse(self, reason: str, frame: Any, instrument: str = "") -> None:
        """A frame that nobody may believe."""
        self._refused(reason, instrument, shown(frame))

    def forget(self) -> None:
        """A connection begins that has nothing to do with the one before."""
        for told in self._told.values():
            told.forget()

    def meets(self, held: Sequence[bytes]) -> bool:
        """Whether the trades that another connection has held begin no later than after the last one told."""
        firsts: dict[str, int] = {}
        for frame in held:
            said = _decode(frame)
            if said.get("e") == "trade" and type(said.get("t")) is int:
                firsts.setdefault(said["s"], said["t"])
        return all(
            told.trade_id == NO_TRADE or firsts[symbol] <= told.trade_id + 1
            for symbol, told in self._told.items()
            if symbol in firsts
        )

    def take_over(self) -> None:
        """From now on another connection is heard, and what the one before has told is not told again."""
        for told in self._told.values():
            told.trade_id_over, told.update_id_over = told.trade_id, told.update_id

    def end_take_over(self) -> None:
        """Both connections are certainly past what was told."""
        for told in self._told.values():
            told.trade_id_over, told.update_id_over = NO_TRADE, 0

    def _take_trade(self, said: _Trade, frame: bytes, now: int) -> None:
        told = self._told.get(said.symbol)
        if told is None:
            self.refuse("WRONG_SYMBOL", frame)
            return
        self.heard += 1
        trade_id = said.trade_id
        try:
            trade = checked_trade(
                told.instrument,
                self._venue,
                str(trade_id),
                to_ns(said.trade_ms),
                said.px,
                said.qty,
                "" if said.is_sell is None else _SIDES[said.is_sell],
                now,
            )
        except FrameRefused as error:
            self.refuse(str(error), frame, told.instrument)
            return
        if trade_id > told.trade_id_over:
            told.trade_id = trade_id
            self._trade(trade)

    def _take_quote(self, said: _Quote, frame: bytes, now: int) -> None:
        told = self._told.get(said.symbol)
        if told is None:
            self.refuse("WRONG_SYMBOL", frame)
            return
        self.heard += 1
        update_id = said.update_id
        try:
            quote = checked_quote(
                told.instrument,
                self._venue,
                update_id,
                said.bid_px,
                said.bid_qty,
                said.ask_px,
                said.ask_qty,
                now,
            )
        except FrameRefused as error:
            self.refuse(str(error), frame, told.instrument)
            return
        if update_id > told.update_id:
            told.update_id = update_id
            told.old_quotes = 0
            self._quote(quote)
        elif update_id > told.update_id_over or update_id <= 0:
            self._take_old_quote(told, update_id, frame)

    def _take_old_quote(self, told: _Told, update_id: int, frame: bytes) -> None:
        self.refuse("BAD_ID" if update_id <= 0 else "OLD_QUOTE", frame, told.instrument)
        told.old_quotes += 1
        if told.old_quotes == OLD_QUOTES_MAX:
            self._on_liar(told.instrument)

    # --- what is not as it should be, or no market frame ---------------------------------------------------------

    def _take_slowly(self, frame: bytes, now: int) -> None:
        if len(frame) > FRAME_BYTES_MAX:
            self.refuse("TOO_BIG", frame)
            return
        try:
            said = _decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.refuse("UNREADABLE", frame)
            return
        if not isinstance(said, dict):
            self.refuse("NO_OBJECT", frame)
        elif said.get("e") == "trade":
            self._take_odd_trade(said, frame, now)
        elif "e" not in said and ("u" in said or ("b" in said and "a" in said)):
            self._take_odd_quote(said, frame, now)
        elif said.get("e") == "serverShutdown":
            self._on_leaving()
        elif not self._on_answer(said):
            self.refuse("UNKNOWN_FRAME", frame)

    def _take_odd_trade(self, said: dict[str, Any], frame: bytes, now: int) -> None:
        told = self._of(said, frame)
        if told is None:
            return
        trade_id, ms = said.get("t"), said.get("T")
        side = said.get("m")
        try:
            if type(trade_id) is not int:
                raise FrameRefused("BAD_ID")
            to_ns(ms)
        except FrameRefused as error:
            self.heard += 1
            self.refuse(str(error), frame, told.instrument)
            return
        self._take_trade(
            _Trade(
                symbol=said["s"],
                trade_id=trade_id,
                px=_number(said.get("p")),
                qty=_number(said.get("q")),
                trade_ms=ms,  # type: ignore[arg-type]
                is_sell=side if isinstance(side, bool) else None,
            ),
            frame,
            now,
        )

    def _take_odd_quote(self, said: dict[str, Any], frame: bytes, now: int) -> None:
        told = self._of(said, frame)
        if told is None:
            return
        update_id = said.get("u")
        if type(update_id) is not int:
            self.heard += 1
            self.refuse("BAD_ID", frame, told.instrument)
            return
        numbers = (_number(said.get(name)) for name in ("b", "B", "a", "A"))
        self._take_quote(_Quote(update_id, said["s"], *numbers), frame, now)

    def _of(self, said: dict[str, Any], frame: bytes) -> _Told | None:
        """The instrument it is about; refused if there is none."""
        symbol = said.get("s")
        told = self._told.get(symbol) if isinstance(symbol, str) else None
        if told is None:
            self.refuse("WRONG_SYMBOL", frame)
        return told


def is_market(frame: bytes) -> bool:
    """Whether this is a trade or a quote, as far as can be seen, and no answer or announcement."""
    try:
        said = _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(said, dict) and isinstance(said.get("s"), str)


def symbol_of(instrument: str) -> str:
    """Binance's name of an instrument: `BTC-USDT` is `BTCUSDT`."""
    return instrument.replace("-", "")


def streams_of(instruments: tuple[str, ...]) -> list[str]:
    """The names of all streams of these instruments."""
    return [f"{symbol_of(each).lower()}@{kind}" for each in instruments for kind in ("trade", "bookTicker")]


def _number(value: Any) -> Any:
    """What `float()` makes of a string or a number; None of anything else, which the checks refuse."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
