"""What speaks for and against a price in doubt: the prints held back, the quotes that stayed, the other venues. Pure."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import median

import msgspec

from libs.common.messages import QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, SECOND

Print = TradePrinted | QuoteChanged
HELD_MAX = 1_000
WINDOW = 16
"""So many of the newest trades of weight say on which side of the trusted price the doubt is."""


class SanityLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Where belief ends. Shares are of the price (0.01 is 1 %), times ns, `notional_min` in quote currency."""

    sigmas: float = 8.0
    band_min: float = 0.005
    band_max: float = 0.05
    coherent: float = 0.02
    confirm_trades: int = 3
    confirm_span: int = 250 * MILLISECOND
    quote_lag: int = 100 * MILLISECOND
    confirm_quotes: int = 5
    confirm_quotes_span: int = 10 * SECOND
    notional_min: float = 10.0
    spread_max: float = 0.10
    consensus: float = 0.01
    dislocation: float = 0.02
    opinion_age_max: int = 5 * SECOND
    denial_age_max: int = SECOND
    lead_max: int = 30 * SECOND
    others_wait: int = 10 * SECOND
    unit_tolerance: float = 0.03
    gap: int = 30 * SECOND
    doubt_max: int = 750 * MILLISECOND
    calm: int = 2 * SECOND


class _Opinion(msgspec.Struct):
    """What a venue said last, and since when it has been far from the price trusted here (0: it is not)."""

    px: float
    at: int
    estranged_at: int = 0


class Opinions:
    """What other venues say the same instrument costs.

    To support a jump a venue must have been near the price before, or have left it not long ago: one that has been elsewhere all
    the time is stuck, or lies. To deny one it must have spoken just now: in a crash other venues freeze.
    """

    def __init__(self, limits: SanityLimits):
        self._limits = limits
        self._said: dict[str, _Opinion] = {}

    def say(self, venue: str, px: float, trusted_px: float, now: int) -> None:
        """`venue` has it at `px`; `trusted_px` is the price trusted here, 0.0 where that is unknown or old."""
        known = self._said.get(venue)
        estranged_at = (known.estranged_at if known is not None else 0) or now
        if not trusted_px or abs(px / trusted_px - 1.0) <= self._limits.dislocation or self._is_unit(px, trusted_px):
            estranged_at = 0
        self._said[venue] = _Opinion(px, now, estranged_at)

    def without(self, venue: str) -> Opinions:
        """The same opinions, but for one venue's."""
        others = Opinions(self._limits)
        others._said = {name: said for name, said in self._said.items() if name != venue}
        return others

    def set_back(self, by: int) -> None:
        """The clock was set back by so much."""
        for said in self._said.values():
            said.at -= by

    def support(self, px: float, now: int) -> bool:
        """Whether any other venue that is no stranger has about the same price."""
        return any(
            abs(px / said.px - 1.0) <= self._limits.consensus
            for said in self._fresh(now)
            if not said.estranged_at or now - said.estranged_at <= self._limits.lead_max
        )

    def off(self, px: float, now: int, *, by_denial: bool = True) -> float:
        """How far `px` is from other venues that agree with each other; 0.0 where there are not two of them.

        `by_denial`: only what they said just now counts.
        """
        others = self._pair(now, self._limits.denial_age_max if by_denial else self._limits.opinion_age_max)
        return abs(px / median(others) - 1.0) if others else 0.0

    def are_two(self, now: int) -> bool:
        """Whether two other venues speak, and agree."""
        return bool(self._pair(now, self._limits.opinion_age_max))

    def middle(self, px: float, now: int) -> float:
        """The middle of all venues, this one's `px` included."""
        return median([*(said.px for said in self._fresh(now)), px])

    def _fresh(self, now: int) -> list[_Opinion]:
        return [said for said in self._said.values() if now - said.at <= self._limits.opinion_age_max]

    def _pair(self, now: int, age_max: int) -> list[float]:
        others = [said.px for said in self._said.values() if now - said.at <= age_max]
        is_pair = len(others) >= 2 and max(others) <= min(others) * (1.0 + self._limits.consensus)
        return others if is_pair else []

    def _is_unit(self, px: float, trusted_px: float) -> bool:
        return is_power_of_ten(px, trusted_px, self._limits.unit_tolerance)


class Doubt:
    """The prints that are held until somebody knows better. `since` is when the first of them came.

    The newest trades of weight tell on which side of the trusted price the doubt is: two thirds must be there. A misprint on the
    other side neither speaks for the rest nor makes them forgotten.
    """

    def __init__(self, limits: SanityLimits):
        self.since = 0
        self.newest_at = 0
        self.trades: deque[TradePrinted] = deque()
        self.quote: QuoteChanged | None = None
        self._limits = limits
        self._window: deque[tuple[bool, float]] = deque(maxlen=WINDOW)
        self._spans: dict[bool, tuple[int, int]] = {}
        self._quotes = 0
        self._quotes_since = 0
        self._quote_at = 0
        self._support_at = 0

    def begin(self, now: int) -> None:
        """A print is going to be held; if it is the first one, the doubt begins."""
        if not self.is_open:
            self.since = now

    @property
    def is_open(self) -> bool:
        """Whether anything is held."""
        return bool(self.trades) or self.quote is not None

    def set_back(self, by: int) -> None:
        """The clock was set back by so much."""
        self.since -= by
        self.newest_at -= by
        self._quotes_since -= by
        self._quote_at -= by
        self._support_at -= by

    def hold(self, trade: TradePrinted, *, is_above: bool, is_inside: bool, now: int) -> TradePrinted | None:
        """Hold a trade; returns the one that must go if there are too many: dust, once half of the room is taken."""
        has_weight = self.has_weight(trade)
        if len(self.trades) >= HELD_MAX // 2 and not has_weight:
            return trade
        self.trades.append(trade)
        if has_weight and not is_inside:
            self.newest_at, ts = now, trade.ts_event
            self._window.append((is_above, trade.px))
            first, last = self._spans.get(is_above, (ts, ts))
            self._spans[is_above] = (min(first, ts), max(last, ts))
        return self.trades.popleft() if len(self.trades) > HELD_MAX else None

    def hold_quote(self, quote: QuoteChanged, now: int) -> None:
        """Hold a quote in place of the one before; one that is elsewhere begins a new count."""
        if self.quote is None or not self._agree(mid(quote), mid(self.quote)):
            self._quotes, self._quotes_since = 0, now
        self._quotes += self.has_weight(quote)
        self.quote, self._quote_at, self._support_at = quote, now, 0

    def drop(self) -> tuple[Print, ...]:
        """The end of the doubt: everything held, in order."""
        dropped: tuple[Print, ...] = (*self.trades, *([self.quote] if self.quote is not None else ()))
        self.trades, self.quote, self._quotes = deque(), None, 0
        self._window.clear()
        self._spans.clear()
        return dropped

    # --- for it -----------------------------------------------------------------------------------------------

    def agreed_px(self) -> float:
        """The price on which two prints of weight agree, the newest kind first; 0.0 if none do."""
        traded, quoted = self._leading()[-2:], 0.0
        if self.quote is not None and self._quotes:
            quoted = mid(self.quote)
            if traded and self._agree(traded[-1], quoted):
                return traded[-1]
        by_trades = traded[-1] if len(traded) == 2 and self._agree(*traded) else 0.0
        by_quotes = quoted if self._quotes >= 2 else 0.0
        return by_quotes or by_trades if self._quote_at > self.newest_at else by_trades or by_quotes

    @property
    def px(self) -> float:
        """Where the price in doubt is: the middle of the newest trades of weight, else the quote; 0.0 if there is neither."""
        leading = self._leading()[-self._limits.confirm_trades :]
        if leading:
            return median(leading)
        return mid(self.quote) if self.quote is not None else 0.0

    def trades_px(self) -> float:
        """The newest of enough trades of weight, far enough apart at the venue, that agree or run away; 0.0 if there are not."""
        limits, leading = self._limits, self._leading()
        prices = leading[-limits.confirm_trades :]
        if len(prices) < limits.confirm_trades:
            return 0.0
        first, last = self._spans[self._side()]
        if last - first < limits.confirm_span:
            return 0.0
        is_confirmed = self._agree(max(prices), min(prices)) or self._run_away(prices)
        return prices[-1] if is_confirmed else 0.0

    def quotes_px(self, now: int) -> float:
        """The middle of quotes of weight that have stayed there for long; 0.0 if they have not."""
        limits = self._limits
        have_stayed = self._quotes >= limits.confirm_quotes and now - self._quotes_since >= limits.confirm_quotes_span
        return mid(self.quote) if have_stayed and self.quote is not None else 0.0

    # --- against it -------------------------------------------------------------------------------------------

    def contradict(self, now: int) -> None:
        """A quote at the old price came."""
        self._support_at = now

    def quotes_contradict(self, now: int) -> bool:
        """Whether fresh quotes still stand at the old price, well after the doubt began."""
        return self._support_at - self.since >= self._limits.quote_lag and now - self._support_at <= SECOND

    def lies_within(self, quote: QuoteChanged) -> bool:
        """Whether a quote is so wide that the price in doubt is in it too."""
        slack = self._limits.band_min
        return quote.bid_px * (1.0 - slack) <= self.px <= quote.ask_px * (1.0 + slack)

    # --- weight -----------------------------------------------------------------------------------------------

    def has_weight(self, found: Print) -> bool:
        """Whether a print is worth enough to count; both sides of a quote must be."""
        if isinstance(found, TradePrinted):
            return found.px * found.qty >= self._limits.notional_min
        return min(found.bid_px * found.bid_qty, found.ask_px * found.ask_qty) >= self._limits.notional_min

    def _side(self) -> bool:
        return 2 * sum(is_above for is_above, _ in self._window) > len(self._window)

    def _leading(self) -> list[float]:
        """The newest prices of the side on which the doubt is; empty if it is on both."""
        side = self._side()
        prices = [px for is_above, px in self._window if is_above == side]
        return prices if 3 * len(prices) >= 2 * len(self._window) else []

    def _agree(self, one_px: float, other_px: float) -> bool:
        return max(one_px, other_px) <= min(one_px, other_px) * (1.0 + self._limits.coherent)

    def _run_away(self, prices: list[float]) -> bool:
        """Whether prices go one way, in steps no larger than a market's."""
        most = 1.0 + self._limits.band_max
        are_steps = all(max(pair) <= min(pair) * most for pair in pairwise(prices))
        return are_steps and prices in (sorted(prices), sorted(prices, reverse=True))


def is_power_of_ten(px: float, reference_px: float, tolerance: float) -> bool:
    """Whether `px` is the reference price in another unit: off by a factor of ten, a hundred, a tenth ..., within `tolerance`."""
    if not reference_px:
        return False
    power = round(math.log10(px / reference_px))
    return power != 0 and abs(px / reference_px / 10.0**power - 1.0) <= tolerance


def mid(quote: QuoteChanged) -> float:
    """The middle of a quote."""
    return (quote.bid_px + quote.ask_px) / 2
