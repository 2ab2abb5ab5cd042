"""A backtest: the live system's machines over a history of bars, around a paper venue, from genesis to the last bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages import (
    Bar,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentSpec,
    UserStreamChanged,
)
from libs.research.bar_market import Instant, instants, marks_at
from libs.research.cast import cast
from libs.runtime.backtest import Backtest, Watch
from libs.runtime.plugin import Plugin
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import BP, REALISTIC_BARS, FillModel

VENUE = "binance"
OPERATOR = "ops.cli"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest is about: the rules of its instruments, the cash it begins with (quote currency), and what the venue costs."""

    specs: tuple[InstrumentSpec, ...]
    cash: Decimal
    quote: str = "USDT"
    model: FillModel = REALISTIC_BARS
    venue: str = VENUE
    code_version: str = "backtest"


def backtest(
    terms: Terms,
    series: Iterable[Iterator[Bar]],
    settings: Mapping[str, Any],
    watch: Watch,
    *,
    history: Iterable[FeedHistory] = (),
    plugins: tuple[Plugin, ...] = (),
    progress: Callable[[Instant], None] | None = None,
) -> Backtest:
    """Play the bars of `series` (one iterator per instrument, base timeframe, oldest first) and return the backtest at its end.

    `settings` are the machines' by service, `history` is told before the first bar to warm indicators with. `watch` is shown every
    event of the log.

    Raises:
        BadHistory: series that cannot be played together.
    """
    play = _Play(terms)
    test: Backtest | None = None
    for instant in instants(series):
        if test is None:
            players = cast(settings, play.venue, plugins)
            test = Backtest(players, code_version=terms.code_version, begin=instant.opens, watch=watch)
            play.begin(test, instant.opens, history)
        play.step(test, instant)
        if progress is not None:
            progress(instant)
    if test is None:
        raise ValueError("there are no bars")
    return test


class _Play:
    """The world of one backtest: the venue and the feed's voice."""

    def __init__(self, terms: Terms):
        self.terms = terms
        specs = {each.instrument: each for each in terms.specs}
        self.venue = BarVenue(specs, {terms.quote: terms.cash}, terms.model)
        half_spread = float(terms.model.half_spread_bps * BP)
        self._half_spreads = dict.fromkeys(specs, half_spread)
        self._decimals = {name: decimals_of(each.px_tick) for name, each in specs.items()}

    def begin(self, test: Backtest, now: int, history: Iterable[FeedHistory]) -> None:
        """The first words: the feed is there, the operator wants a book, the venue is heard."""
        times = {"ts_event": now, "ts_init": now}
        status = FeedStatus(
            venue=self.terms.venue,
            state="LIVE",
            via="SOCKETS",
            reason="history",
            health={self.terms.venue: 1.0},
            specs=self.terms.specs,
            **times,
        )
        test.tell("feed", status)
        for each in history:
            test.tell("feed", msgspec.structs.replace(each, **times))
        test.tell("exec", UserStreamChanged(connected=True, reason="backtest", **times))
        test.tell(OPERATOR, GenesisDeclared(book="backtest", mode="sim", author="backtest", **times))

    def step(self, test: Backtest, instant: Instant) -> None:
        """From the instant the bars open to the instant they have closed."""
        opens, closes, venue = instant.opens, instant.closes, self.venue
        test.advance(opens)
        for bar in instant.bars:
            for update in venue.open_bar(bar):
                test.tell("exec", update.reported(opens))
        test.advance(closes)
        for bar in instant.bars:
            for update in venue.close_bar(bar.instrument):
                test.tell("exec", update.reported(closes))
        marks = marks_at(instant.bars, self._half_spreads, self._decimals)
        test.tell(
            "feed",
            FeedMarks(
                venue=self.terms.venue,
                as_of=closes,
                marks=marks,
                alive=tuple([bar.instrument for bar in instant.bars]),
                ts_event=closes,
                ts_init=closes,
            ),
        )
        test.tell("feed", FeedBars(end_ts=closes, bars=instant.closed, ts_event=closes, ts_init=closes))


def decimals_of(tick: Decimal) -> int:
    """How many digits after the point prices on `tick` have."""
    exponent = tick.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def spec_of(instrument: str, px: float, *, fee: Decimal, px_decimals: int) -> InstrumentSpec:
    """Trading rules for an instrument of which nothing but its prices is known: those a large spot venue has for such a price.

    The smallest step of quantity is worth between a tenth and one unit of quote currency; the smallest order is five.
    """
    base, _, quote = instrument.partition("-")
    step = Decimal(1).scaleb(-(math.floor(math.log10(px)) + 1))
    return InstrumentSpec(
        instrument=instrument,
        base=base,
        quote=quote,
        px_tick=Decimal(1).scaleb(-px_decimals),
        qty_step=step,
        qty_min=step,
        notional_min=Decimal(5),
        taker_fee=fee,
        maker_fee=fee,
    )
