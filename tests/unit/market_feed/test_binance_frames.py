"""Bytes from Binance in, events out: whatever the bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import QuoteChanged, TradePrinted
from services.market_feed.adapters.binance_frames import OLD_QUOTES_MAX, BinanceFrames, is_market, streams_of
from services.market_feed.adapters.reader import Link
from services.market_feed.frames import NUMBER_MAX, NUMBER_MIN
from tests.unit.market_feed.tape import BTC, T0

MS = T0 // 1_000_000
TRADE = {"e": "trade", "E": MS, "s": "BTCUSDT", "t": 7, "p": "60000.10", "q": "0.5", "T": MS, "m": False, "M": True}
QUOTE = {"u": 9, "s": "BTCUSDT", "b": "60000.10", "B": "1.5", "a": "60000.20", "A": "2.5"}
DECIMALS = st.decimals(min_value="1e-8", max_value="1e12", places=8).map(lambda value: f"{value:f}")
DIGITS = st.from_regex(r"[1-9][0-9]{0,30}(\.[0-9]{1,40})?(e-?[0-9]{1,2})?", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


class Told:
    """A sink and all that a socket would do."""

    def __init__(self) -> None:
        self.events: list[TradePrinted | QuoteChanged] = []
        self.refusals: list[tuple[str, str]] = []
        self.answers: list[dict[str, Any]] = []
        self.leavings = 0
        self.liars: list[str] = []
        self.trade = self.quote = self.events.append
        self.frames = BinanceFrames(
            "binance",
            (BTC,),
            self,
            on_answer=self._answer,
            on_leaving=self._leave,
            on_liar=self.liars.append,
        )

    def refused(self, reason: str, instrument: str, frame: str) -> None:
        """See the port."""
        self.refusals.append((reason, instrument))

    def connected(self, link: Link) -> None:
        """See the port."""

    def take(self, *frames: bytes | dict[str, Any]) -> None:
        """Text frames."""
        for frame in frames:
            self.frames.take(frame if isinstance(frame, bytes) else json.dumps(frame).encode(), T0)

    def _answer(self, said: dict[str, Any]) -> bool:
        self.answers.append(said)
        return "result" in said

    def _leave(self) -> None:
        self.leavings += 1


@given(st.one_of(DECIMALS, DIGITS), st.one_of(DECIMALS, DIGITS))
@settings(deadline=None)
def test_numbers_are_those_of_float(px: str, qty: str) -> None:
    """Decimal strings become the very floats that Python reads, if they are numbers of this world."""
    told = Told()
    told.take({**TRADE, "p": px, "q": qty})
    if not all(NUMBER_MIN <= float(each) <= NUMBER_MAX for each in (px, qty)):
        assert (told.events, len(told.refusals)) == ([], 1)
        return
    (event,) = told.events
    assert isinstance(event, TradePrinted)
    assert (event.px, event.qty) == (float(px), float(qty))


@given(st.permutations(list(TRADE)), st.permutations(list(QUOTE)))
@settings(deadline=None)
def test_the_order_of_keys_means_nothing(trade_keys: list[str], quote_keys: list[str]) -> None:
    """The first key only chooses the faster way."""
    told, plain = Told(), Told()
    told.take({key: TRADE[key] for key in trade_keys}, {key: QUOTE[key] for key in quote_keys})
    plain.take(TRADE, QUOTE)
    assert told.events == plain.events
    assert len(told.events) == 2


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_raise(frame: bytes) -> None:
    """Each frame is told in one way or another."""
    told = Told()
    told.take(frame)
    assert len(told.events) + len(told.refusals) + told.leavings == 1


@given(st.sampled_from((TRADE, QUOTE)), st.data())
@settings(deadline=None, max_examples=300)
def test_no_field_raises(frame: dict[str, Any], data: st.DataObject) -> None:
    """A frame with any value in any field is an event or a refusal, never both, never neither, never an exception."""
    field = data.draw(st.sampled_from(list(frame)))
    told = Told()
    told.take({**frame, field: data.draw(JSON)})
    assert len(told.events) + len(told.refusals) == 1


@given(st.sampled_from((TRADE, QUOTE)), st.data())
@settings(deadline=None, max_examples=300)
def test_no_damage_raises(frame: dict[str, Any], data: st.DataObject) -> None:
    """A frame with bytes cut out or overwritten is an event or a refusal, too."""
    raw = bytearray(json.dumps(frame).encode())
    start = data.draw(st.integers(0, len(raw) - 1))
    raw[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    told = Told()
    told.take(bytes(raw))
    assert len(told.events) + len(told.refusals) + told.leavings == 1


def test_numbers_that_are_not_strings() -> None:
    """A venue that writes plain numbers means the same; the fast and the slow way agree."""
    told = Told()
    told.take({**TRADE, "p": 60000.1, "q": 1})
    told.take({**{"M": True}, **TRADE, "p": 60000.1, "q": 1})
    assert told.events[0] == told.events[1]
    assert told.events[0].px == 60000.1  # type: ignore[union-attr]


def test_a_trade_whose_aggressor_is_unknown() -> None:
    """The side is a courtesy of the venue."""
    told = Told()
    told.take({**TRADE, "m": None}, {**TRADE, "t": 8, "m": "perhaps"})
    assert [event.aggressor_side for event in told.events] == ["", ""]  # type: ignore[union-attr]


def test_an_old_quote_is_refused_and_moves_nothing() -> None:
    """Neither a repeated update id nor a smaller one is news, and a bad quote sets no mark."""
    told = Told()
    told.take({**QUOTE, "u": 10**12, "b": "70000"}, QUOTE, QUOTE, {**QUOTE, "u": 8}, {**QUOTE, "u": 10})
    assert told.refusals == [("CROSSED_BOOK", BTC), ("OLD_QUOTE", BTC), ("OLD_QUOTE", BTC)]
    assert [event.id for event in told.events] == ["binance.BTC-USDT.q9", "binance.BTC-USDT.q10"]
    assert told.liars == []


def test_a_liar_is_named_once() -> None:
    """One far too great update id makes everything after it old; a connection that begins anew forgets it."""
    told = Told()
    told.take({**QUOTE, "u": 10**15}, *({**QUOTE, "u": 9 + number} for number in range(OLD_QUOTES_MAX + 5)))
    assert told.liars == [BTC]
    told.frames.forget()
    told.take(QUOTE)
    assert told.events[-1].id == "binance.BTC-USDT.q9"


def test_what_was_told_before_a_take_over_is_not_told_again() -> None:
    """Up to the old connection's last trade and quote the new one is not heard, and it is no fault of the venue."""
    told = Told()
    told.take(TRADE, QUOTE)
    told.frames.take_over()
    told.take(*({**TRADE, "t": number} for number in (6, 7, 8)), *({**QUOTE, "u": number} for number in (8, 9, 10)))
    assert [event.id[-2:] for event in told.events] == ["t7", "q9", "t8", "10"]
    assert told.refusals == []
    told.frames.end_take_over()
    told.take({**TRADE, "t": 6}, {**QUOTE, "u": 9})
    assert told.events[-1].id == "binance.BTC-USDT.t6"
    assert told.refusals == [("OLD_QUOTE", BTC)]


def test_connections_meet_where_trade_ids_do() -> None:
    """A hole between the last trade told and the first one held is seen."""
    told = Told()
    held = [json.dumps({**TRADE, "t": number}).encode() for number in (9, 10)]
    assert told.frames.meets(held)
    told.take(TRADE)
    assert not told.frames.meets(held)
    told.take({**TRADE, "t": 8})
    assert told.frames.meets(held)
    assert told.frames.meets([])


def test_what_is_held_during_a_take_over() -> None:
    """Trades and quotes; answers and announcements are not."""
    assert is_market(json.dumps(TRADE).encode())
    assert is_market(json.dumps(dict(reversed(QUOTE.items()))).encode())
    assert not is_market(b'{"result":null,"id":1}')
    assert not is_market(b'{"e":"serverShutdown","E":1}')
    assert not is_market(b'{"e":"trade",')
    assert not is_market(b"[]")


def test_what_is_no_market_frame() -> None:
    """Answers are somebody else's, a shutdown is announced, and what nobody knows is refused."""
    told = Told()
    told.take({"result": None, "id": 1}, {"e": "serverShutdown", "E": MS}, {"e": "kline", "s": "BTCUSDT"})
    assert told.leavings == 1
    assert len(told.answers) == 2
    assert told.refusals == [("UNKNOWN_FRAME", "")]
    assert told.frames.heard == 0


def test_market_frames_are_counted_good_or_refused() -> None:
    """Only those of an instrument that is read: noise proves nothing."""
    told = Told()
    told.take(TRADE, QUOTE, {**TRADE, "p": "x"}, {**QUOTE, "u": None}, {**TRADE, "T": 0}, b"noise", {**QUOTE, "s": "X"})
    assert told.frames.heard == 5


def test_the_names_of_streams() -> None:
    """Two of each instrument, in lower case."""
    assert streams_of((BTC,)) == ["btcusdt@trade", "btcusdt@bookTicker"]
